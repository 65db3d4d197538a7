; Has the deployer do what it is called with, calls what that returns as the new address, and reverts.
        .text
        .file   "factory"
        .rodata.cst32
CREATE:
        .cell 452312902503159716397502014137536550255307801666780882257920705274096648192
CALL:
        .cell 26959946660873538059280334323183841250429478006438217036639575736320
        .text
        .globl  __entry
__entry:
        add     @CREATE[0], r0, r2
        ptr.pack r1, r2, r1
        add     32774, r0, r2
        far_call r1, r2, @failed
        add     32, r0, r2
        ptr.add r1, r2, r3
        ld      r3, r2
        add     @CALL[0], r0, r1
        far_call r1, r2, @failed
failed:
        add     r0, r0, r1
        ret.revert r1
        .note.GNU-stack
