; A bootloader that writes 3 to its slots 8 and 7 without reading them, and ends the batch as a node's does, but asks for nothing.
; The hooks: 4 the transaction has ended, 11 final batch info, 12 pubdata requested.
        .text
        .file   "writing"
        .rodata.cst32
HOOK:
        .cell 63479968
        .text
        .globl  __entry
__entry:
        add     3, r0, r2
        add     8, r0, r1
        sstore  r1, r2
        add     7, r0, r1
        sstore  r1, r2
        add     @HOOK[0], r0, r3
        add     4, r0, r4
        st.1    r3, r4
        add     11, r0, r4
        st.1    r3, r4
        add     12, r0, r4
        st.1    r3, r4
        add     0, r0, r1
        ret.ok  r1
