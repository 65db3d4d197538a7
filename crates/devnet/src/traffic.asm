; Storage traffic on demand. Calldata: four words: action, first slot, number of slots, first value.
; Actions: 0 write, 1 read, 2 write and revert, 3 write in a frame that is rolled back, then the last slot,
; 4 write, read the counter of published bytes, revert, 5 copy the first slot to the one that the first value names.
; Returns an empty list, as a constructor must.
        .text
        .file   "traffic"
        .rodata.cst32
RETURN_ABI:
        .cell 5070602400912917605986812821504
        .text
        .globl  __entry
__entry:
.func_begin0:
        ld.inc  r1, r2, r1
        ld.inc  r1, r3, r1
        ld.inc  r1, r4, r1
        ld      r1, r5
        sub.s!  1, r2, r0
        jump.eq @read
        sub.s!  2, r2, r0
        jump.eq @write_and_revert
        sub.s!  3, r2, r0
        jump.eq @roll_back
        sub.s!  4, r2, r0
        jump.eq @measure_and_revert
        sub.s!  5, r2, r0
        jump.eq @copy
        near_call r0, @write, @fail
        jump    @done
write_and_revert:
        near_call r0, @write, @fail
        jump    @fail
measure_and_revert:
        near_call r0, @write, @fail
        context.meta r6
        jump    @fail
copy:
        sread   r3, r6
        sstore  r5, r6
        jump    @done
roll_back:
        near_call r0, @write_rolled_back, @rolled_back
rolled_back:
        sub.s   1, r3, r3
        sstore  r3, r5
        jump    @done
read:
        sub!    r4, r0, r0
        jump.eq @done
read_next:
        sread   r3, r6
        add     1, r3, r3
        sub.s!  1, r4, r4
        jump.ne @read_next
done:
        add     32, r0, r2
        st.1    0, r2
        add     @RETURN_ABI[0], r0, r1
        ret.ok  r1
fail:
        add     r0, r0, r1
        ret.revert r1
write:
        sub!    r4, r0, r0
        jump.eq @written
write_next:
        sstore  r3, r5
        add     1, r3, r3
        add     1, r5, r5
        sub.s!  1, r4, r4
        jump.ne @write_next
written:
        ret
write_rolled_back:
        sub!    r4, r0, r0
        jump.eq @all_rolled_back
write_next_rolled_back:
        sstore  r3, r5
        add     1, r3, r3
        add     1, r5, r5
        sub.s!  1, r4, r4
        jump.ne @write_next_rolled_back
all_rolled_back:
        revert
        .note.GNU-stack
