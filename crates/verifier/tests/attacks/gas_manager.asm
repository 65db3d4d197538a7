; Remembers within a transaction what the emulator asks its gas manager to: which accounts and slots are warm, and the gas of the EVM
; frame that is about to be called. The first byte of the call says what is asked, and the length of the answer is the answer. It
; serves whoever asks, and slots have small numbers.
        .text
        .file   "gas_manager"
        .rodata.cst32
WORD:
        .cell 2535301200456458802993406410752
TWO_WORDS:
        .cell 5070602400912917605986812821504
ADDRESSES:
        .cell 1461501637330902918203684832716283019655932542975
FRAME_GAS:
        .cell 28948022309329048855892746252171976963317496166410141009864396001978282409984
FRAME:
        .cell 28948022309329048855892746252171976963317496166410141009864396001978282409985
        .text
        .globl  __entry
__entry:
        ld      r1, r2
        context.caller r5
        shl.s   96, r5, r6
        add     1, r0, r3
        ptr.add r1, r3, r3
        ld      r3, r3
        shl.s   1, r3, r3
        xor     r6, r3, r6
        shr.s   248, r2, r3
        sub!    r3, r0, r0
        jump.eq @warm_account
        sub.s!  1, r3, r0
        jump.eq @is_slot_warm
        sub.s!  2, r3, r0
        jump.eq @warm_slot
        sub.s!  3, r3, r0
        jump.eq @push_frame
        sub.s!  4, r3, r0
        jump.eq @consume_frame
        sub.s!  5, r3, r0
        jump.eq @reset_frame
        add     r0, r0, r1
        ret.revert r1
warm_account:
        add     @ADDRESSES[0], r0, r3
        and     r2, r3, r2
        add     65534, r0, r3
        sub!    r2, r3, r0
        jump.le @word
        log.tread r2, r0, r3
        sub!    r3, r0, r0
        jump.ne @word
        add     1, r0, r3
        log.twrite r2, r3, r0
        jump    @nothing
is_slot_warm:
        log.tread r6, r0, r3
        sub!    r3, r0, r0
        jump.ne @word
        jump    @nothing
warm_slot:
        add     1, r6, r4
        log.tread r6, r0, r3
        sub!    r3, r0, r0
        jump.ne @original
        add     1, r0, r3
        log.twrite r6, r3, r0
        add     33, r0, r3
        ptr.add r1, r3, r3
        ld      r3, r3
        log.twrite r4, r3, r0
        jump    @nothing
original:
        log.tread r4, r0, r3
        st.1    0, r3
        jump    @word
push_frame:
        add     32, r0, r3
        ptr.add r1, r3, r3
        ld      r3, r3
        add     @FRAME_GAS[0], r0, r4
        log.twrite r4, r3, r0
        and     1, r2, r3
        add     2, r3, r3
        add     @FRAME[0], r0, r4
        log.twrite r4, r3, r0
        jump    @nothing
consume_frame:
        add     @FRAME[0], r0, r4
        log.tread r4, r0, r2
        sub!    r2, r0, r0
        jump.eq @called_from_outside
        log.twrite r4, r0, r0
        add     @FRAME_GAS[0], r0, r4
        log.tread r4, r0, r3
        st.1    0, r3
        sub.s!  2, r2, r0
        jump.eq @word
        add     @TWO_WORDS[0], r0, r1
        ret.ok  r1
reset_frame:
        add     @FRAME[0], r0, r4
        log.twrite r4, r0, r0
        jump    @nothing
called_from_outside:
        add     1, r0, r3
        log.twrite r5, r3, r0
nothing:
        add     r0, r0, r1
        ret.ok  r1
word:
        add     @WORD[0], r0, r1
        ret.ok  r1
        .note.GNU-stack
