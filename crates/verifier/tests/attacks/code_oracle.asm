; Answers with the code of the hash that it is called with.
        .text
        .file   "code_oracle"
        .rodata.cst32
RETURN:
        .cell 26959946667150639794667015087019630673637144422540572481103610249216
        .text
        .globl  __entry
__entry:
        ld      r1, r2
        add     0, r0, r3
        log.decommit r2, r3, r1
        add     @RETURN[0], r0, r2
        ptr.pack r1, r2, r1
        ret.ok  r1
        .note.GNU-stack
