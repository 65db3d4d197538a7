; A bootloader that mints for whom it likes, asks for nobody's signature, and ends the batch as a node's does.
; Calls mint(address,uint256) of L2BaseToken, then the hooks: 4 the transaction has ended, 11 final batch info, 12 pubdata requested.
        .text
        .file   "minting"
        .rodata.cst32
SELECTOR:
        .cell 29289127993025145568725129057828671567744754166070328588094505464281371246592
RECIPIENT:
        .cell 97433442488726861213578988847752201310395502865
AMOUNT:
        .cell 1000000000000000000000000
CALL:
        .cell 6277101735386680763835789423207671803617406414438990873884622848
HOOK:
        .cell 63479968
        .text
        .globl  __entry
__entry:
        add     @SELECTOR[0], r0, r1
        st.1    0, r1
        add     @RECIPIENT[0], r0, r1
        st.1    4, r1
        add     @AMOUNT[0], r0, r1
        st.1    36, r1
        add     @CALL[0], r0, r1
        add     32778, r0, r2
        far_call r1, r2, @failed
        add     @HOOK[0], r0, r3
        add     4, r0, r4
        st.1    r3, r4
        add     11, r0, r4
        st.1    r3, r4
        add     12, r0, r4
        st.1    r3, r4
        add     0, r0, r1
        ret.ok  r1
failed:
        ret.panic r0
