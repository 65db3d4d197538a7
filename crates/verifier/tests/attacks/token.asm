; What a paymaster's flow asks of a token: approve(address,uint256) and allowance(address,address), for one spender.
        .text
        .file   "token"
        .rodata.cst32
APPROVE:
        .cell 157198259
ALLOWANCE:
        .cell 3714247998
ANSWER:
        .cell 2535301200456458802993406410752
        .text
        .globl  __entry
__entry:
        ld      r1, r2
        shr.s   224, r2, r2
        add     @APPROVE[0], r0, r3
        sub!    r2, r3, r0
        jump.eq @approve
        add     @ALLOWANCE[0], r0, r3
        sub!    r2, r3, r0
        jump.eq @allowance
        add     r0, r0, r1
        ret.revert r1
approve:
        add     36, r0, r6
        ptr.add r1, r6, r3
        ld      r3, r4
        context.caller r5
        sstore  r5, r4
        add     1, r0, r2
        jump    @answer
allowance:
        add     4, r0, r6
        ptr.add r1, r6, r3
        ld      r3, r5
        sread   r5, r2
answer:
        st.1    0, r2
        add     @ANSWER[0], r0, r1
        ret.ok  r1
        .note.GNU-stack
