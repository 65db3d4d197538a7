; A paymaster. Asked to pay, it pays the bootloader the gas limit times the fee, read from where the ABI has them, and answers with
; the magic and a context of one word. Told of the transaction's end, it keeps what may be refunded. The tests fill in what is in braces.
        .text
        .file   "paymaster"
        .rodata.cst32
VALIDATE:
        .cell 59385020
MAGIC:
        .cell {magic}
PAY:
        .cell 452312875543213049246862219470521463235677128029636459717348224170486398976
ANSWER:
        .cell 10141204801825835211973625643008
        .text
        .globl  __entry
__entry:
        ld      r1, r2
        shr.s   224, r2, r2
        add     @VALIDATE[0], r0, r3
        sub!    r2, r3, r0
        jump.ne @post
        add     196, r0, r6
        ptr.add r1, r6, r3
        ld      r3, r4
        add     260, r0, r6
        ptr.add r1, r6, r3
        ld      r3, r5
        mul     r4, r5, r3, r6
        {pay}
        add     32769, r0, r4
        add     0, r0, r5
        add     @PAY[0], r0, r1
        add     32777, r0, r2
        far_call r1, r2, @failed
        add     @MAGIC[0], r0, r1
        st.1    0, r1
        add     64, r0, r1
        st.1    32, r1
        add     32, r0, r1
        st.1    64, r1
        add     7, r0, r1
        st.1    96, r1
        add     @ANSWER[0], r0, r1
        ret.ok  r1
post:
        add     164, r0, r6
        ptr.add r1, r6, r3
        ld      r3, r4
        add     0, r0, r5
        sstore  r5, r4
        {post}
        add     r0, r0, r1
        ret.ok  r1
failed:
        add     r0, r0, r1
        ret.revert r1
        .note.GNU-stack
