; Answers everything with two words of zero.
        .text
        .file   "zero"
        .rodata.cst32
FIRST:
        .cell 0
SECOND:
        .cell 0
ANSWER:
        .cell 5070602400912917605986812821504
        .text
        .globl  __entry
__entry:
        add     @FIRST[0], r0, r1
        st.1    0, r1
        add     @SECOND[0], r0, r1
        st.1    32, r1
        add     @ANSWER[0], r0, r1
        ret.ok  r1
        .note.GNU-stack
