//! What other implementations of the machine got wrong, point by point. Each program is compared with the reference
//! after each of its steps; the assertions here state the rule itself.

use std::{rc::Rc, sync::Arc};

use super::{
    assembly::{Data, Program, line},
    scene::{Scene, kernel, user, word},
    world::TestWorld,
};
use crate::{
    Address, Code, End, HeapGrowth, Machine, Precompiles, Settings, U256,
    instruction::{FLAG_0, FLAG_1, Operation as O, Place},
    machine::MAX_FRAMES,
    memory::{FIRST_BASE_PAGE, HEAP, Memory},
};

const MAX: Data =
    Data { start: 0, length: 0, mode: 0, gas: u32::MAX, shard: 0, is_constructor: false, is_system: false };
const A: Address = user(1);
const B: Address = user(2);
const C: Address = user(3);
const K: Address = kernel(0x9001);
const L: Address = kernel(0x9002);

fn data(start: u32, length: u32) -> Data {
    Data { start, length, ..MAX }
}

fn program(write: impl FnOnce(&mut Program)) -> Program {
    let mut program = Program::new(120);
    write(&mut program);
    program
}

/// A first frame that calls one contract and ends, whatever the result.
fn calls(address: Address) -> Program {
    program(|p| {
        p.call(O::FarCall, address, MAX, 3).stop();
    })
}

fn small(value: u64) -> U256 {
    U256::from(value)
}

/// Runs one contract and returns what it wrote to slot 7.
fn seventh_slot_after(address: Address, write: impl FnOnce(&mut Program)) -> U256 {
    let mut scene = Scene::new();
    scene.contract(address, &program(write));
    let finished = scene.run(&calls(address));
    finished.slot(address, 7)
}

#[test]
fn point_01_a_heap_read_with_increment_keeps_the_tag_of_its_operand() {
    // After a failed call, the first register is zero, and a pointer.
    let read = |operation, address| {
        seventh_slot_after(address, |p| {
            p.call(O::FarCall, kernel(0x7777), MAX, 3);
            p.add(line(operation, [1, 0], [2, 3]).flags(FLAG_0));
            p.add(line(O::PointerAdd, [3, 0], [4, 0]));
            p.store_number(7, 1).stop();
        })
    };
    assert_eq!(read(O::HeapRead, A), small(1));
    assert_eq!(read(O::AuxHeapRead, A), small(1));
    assert_eq!(read(O::StaticRead, K), small(1));
}

#[test]
fn point_02_an_instruction_without_a_second_result_clears_its_register() {
    // Value and mark are cleared: the call's pointer is no longer a pointer.
    let cleared = seventh_slot_after(A, |p| {
        p.add(line(O::Add, [0, 0], [2, 1])).add(line(O::PointerAdd, [1, 0], [3, 0])).store_number(7, 1).stop();
    });
    assert_eq!(cleared, U256::ZERO, "the pointer is no longer one, so adding to it is a panic");
    let same = seventh_slot_after(A, |p| {
        p.load(3, small(5)).load(4, small(6));
        p.add(line(O::Add, [3, 4], [2, 2])).store(7, 2).stop();
    });
    assert_eq!(same, U256::ZERO, "it is cleared after the first result");
    let passed_over = seventh_slot_after(A, |p| {
        p.load(2, small(9)).add(line(O::Add, [0, 0], [0, 2]).condition(1)).store(7, 2).stop();
    });
    assert_eq!(passed_over, small(9), "what is not executed clears nothing");
    let product = seventh_slot_after(A, |p| {
        p.load(3, U256::MAX).load(4, small(8)).add(line(O::Mul, [3, 4], [0, 2])).store(7, 2).stop();
    });
    assert_eq!(product, small(7), "a second result stays");
}

#[test]
fn point_03_a_panic_pays_for_the_data_that_it_does_not_return() {
    let gas_left_after = |word: U256| {
        let mut scene = Scene::new();
        scene.contract(
            B,
            &program(|p| {
                p.load(2, word).add(line(O::Panic, [2, 0], [0, 0]));
            }),
        );
        let finished = scene.run(&program(|p| {
            p.call(O::FarCall, B, Data { gas: 100_000, ..MAX }, 3);
            p.add(line(O::ErgsLeft, [0, 0], [2, 0])).store(7, 2).stop();
        }));
        finished.slot(kernel(0x8001), 7)
    };
    let plain = gas_left_after(U256::ZERO);
    let overflowing = gas_left_after(Data { start: u32::MAX, length: 2, ..Data::default() }.word());
    let large = gas_left_after(Data { start: 0, length: 50_000, ..Data::default() }.word());
    assert!(plain - overflowing > small(90_000), "a pointer that overflows costs all gas of the frame");
    assert_eq!(plain, large, "data that would only be dear is not paid for");
}

#[test]
fn point_04_the_memory_stipend_follows_the_version_of_the_code_hash() {
    let mut scene = Scene::new();
    let meta = |p: &mut Program| {
        p.add(line(O::Meta, [0, 0], [2, 0])).load(3, small(64)).add(line(O::ShiftRight, [2, 3], [2, 0]));
        p.store(7, 2).stop();
    };
    scene.default_account(&program(meta));
    scene.evm_contract_under_construction(B);
    scene.contract(C, &program(meta));
    let finished = scene.run(&program(|p| {
        // B's code is the default account's and C has its own code; A has none and gets the default account's.
        p.call(O::FarCall, B, MAX, 20).call(O::FarCall, C, MAX, 20).call(O::FarCall, A, MAX, 20).stop();
    }));
    let bound = |address| finished.slot(address, 7) & small(u64::from(u32::MAX));
    assert_eq!(bound(B), small(57_344));
    assert_eq!(bound(C), small(4_096));
    assert_eq!(bound(A), small(4_096));
}

#[test]
fn point_05_pages_that_nobody_has_written_read_as_zero_and_take_writes() {
    let mut scene = Scene::new();
    scene.contract(
        B,
        &program(|p| {
            p.give(data(0, 64));
        }),
    );
    // The hash of no bytes goes to the heap of a contract that never wrote there.
    let sha256 = kernel(2);
    scene.contract(
        sha256,
        &program(|p| {
            p.load(2, U256::from_limbs([0, 1 << 32, 0, 1])).add(line(O::PrecompileCall, [2, 0], [3, 0]));
            p.add(line(O::HeapRead, [0, 0], [4, 0])).store(7, 4);
            p.load(5, small(320)).add(line(O::AuxHeapRead, [5, 0], [4, 0])).store(8, 4).stop();
        }),
    );
    let finished = scene.run(&program(|p| {
        p.call(O::FarCall, B, MAX, 60).add(line(O::PointerRead, [1, 0], [2, 0])).store(7, 2);
        p.call(O::FarCall, sha256, MAX, 60).stop();
    }));
    assert_eq!(finished.end, End::Returned(Vec::new()));
    assert_eq!(finished.slot(kernel(0x8001), 7), U256::ZERO);
    assert_ne!(finished.slot(sha256, 7), U256::ZERO, "one round over zeros");
    assert_eq!(finished.slot(sha256, 8), U256::ZERO);

    let mut memory = Memory::new();
    memory.write_word(4_000, 3, small(7)).expect("there is room");
    let mut bytes = [0; 64];
    memory.read_bytes(4_000, 64, &mut bytes);
    assert_eq!((bytes[..63].iter().map(|byte| u64::from(*byte)).sum::<u64>(), bytes[63]), (0, 7));
    assert_eq!(memory.read_page(5_000, 12), U256::ZERO);
}

#[test]
fn point_06_static_memory_is_a_page_of_its_own() {
    let mut scene = Scene::new();
    scene.contract(
        K,
        &program(|p| {
            p.load(2, small(5)).add(line(O::StaticRead, [2, 0], [3, 0])).store(7, 3).stop();
        }),
    );
    scene.contract(
        A,
        &program(|p| {
            p.add(line(O::StaticRead, [0, 0], [3, 0])).store_number(7, 1).stop();
        }),
    );
    let finished = scene.run(&program(|p| {
        p.load(2, small(5)).load(3, small(99)).add(line(O::StaticWrite, [2, 3], [4, 0]).flags(FLAG_0)).store(8, 4);
        p.call(O::FarCall, K, MAX, 60).call(O::FarCall, A, MAX, 40);
        while p.here() < 40 {
            p.add(line(O::Nop, [0, 0], [0, 0]));
        }
        p.load(2, small(5)).add(line(O::HeapRead, [2, 0], [3, 0])).store(9, 3).stop();
    }));
    assert_eq!(finished.slot(K, 7), small(99));
    assert_eq!(finished.slot(A, 7), U256::ZERO, "only the kernel has it");
    assert_eq!(finished.slot(kernel(0x8001), 8), small(37));
    assert_eq!(finished.slot(kernel(0x8001), 9), U256::ZERO, "it is not the heap");
}

#[test]
fn point_07_page_zero_of_a_precompile_call_is_the_current_heap() {
    let keccak = kernel(0x8010);
    let hash_of = |pages: u64| {
        seventh_slot_after(keccak, move |p| {
            p.write(0, 1);
            p.load(2, U256::from_limbs([32 << 32, 1 | 1 << 32, pages, 0])).add(line(O::PrecompileCall, [2, 0], [3, 0]));
            p.load(5, small(32)).add(line(O::HeapRead, [5, 0], [4, 0])).store(7, 4).stop();
        })
    };
    // The first call of the run: its pages are known.
    let heap = u64::from(crate::memory::SECOND_BASE_PAGE + HEAP);
    assert_eq!(hash_of(0), hash_of(heap | heap << 32));
    assert_ne!(hash_of(0), hash_of(u64::from(FIRST_BASE_PAGE + HEAP)), "another page to read from");
}

#[test]
fn point_08_a_call_to_another_shard_reads_nothing() {
    let mut scene = Scene::new();
    scene.contract(
        A,
        &program(|p| {
            p.store_number(7, 1).stop();
        }),
    );
    let finished = scene.run(&program(|p| {
        p.load(13, Data { shard: 1, ..MAX }.word()).load(14, word(A));
        p.add(line(O::FarCall, [13, 14], [0, 0]).flags(FLAG_1).immediates([4, 0])).stop();
        p.store_number(8, 1).stop();
    }));
    assert_eq!(finished.slot(kernel(0x8001), 8), small(1), "it fails");
    assert!(finished.machine.accesses().all(|access| access.address != kernel(0x8002)));
}

#[test]
fn point_09_only_the_kernel_may_return_a_pointer_to_an_older_page() {
    let returned = |address: Address| {
        let mut scene = Scene::new();
        scene.contract(
            address,
            &program(|p| {
                p.pack(1, MAX).add(line(O::Return, [13, 0], [0, 0]));
            }),
        );
        let finished = scene.run(&program(|p| {
            p.write(0, 77).call(O::FarCall, address, data(0, 32), 20);
            p.add(line(O::PointerRead, [1, 0], [2, 0])).store(7, 2).stop();
            while p.here() < 20 {
                p.add(line(O::Nop, [0, 0], [0, 0]));
            }
            p.store_number(7, 1).stop();
        }));
        finished.slot(kernel(0x8001), 7)
    };
    assert_eq!(returned(A), small(1), "a panic");
    assert_eq!(returned(K), small(77));
}

#[test]
fn point_10_too_little_gas_for_a_precompile_is_a_result() {
    let mut scene = Scene::new();
    let sha256 = kernel(2);
    scene.contract(
        sha256,
        &program(|p| {
            p.store_number(7, 1).load(2, small(u64::from(u32::MAX))).add(line(O::PrecompileCall, [0, 2], [3, 0]));
            p.store_number(7, 2).stop();
        }),
    );
    let finished = scene.run(&program(|p| {
        p.call(O::FarCall, sha256, Data { gas: 50_000, ..MAX }, 4).stop();
        p.store_number(8, 1).stop();
    }));
    assert_eq!(finished.slot(sha256, 7), U256::ZERO, "the next instruction has no gas left");
    assert_eq!(finished.slot(kernel(0x8001), 8), small(1), "and only its frame panics");
}

#[test]
fn point_11_decommitted_code_stays_where_it_first_went() {
    for fails in [false, true] {
        let mut scene = Scene::new();
        // It stores a constant from the second word beyond its end.
        let code = program(|p| {
            p.add(line(O::Add, [0, 0], [2, 0]).from(Place::Code, 34)).store(8, 2).store_number(7, 4).stop();
        });
        let hash = scene.contract(A, &code);
        assert_eq!(code.bytes().len(), 33 * 32);
        let first_word = U256::from_be_slice(&code.bytes()[..32]);
        let length = code.bytes().len() as u32;
        // Writes beyond the place of the code, decommits, and ends in one way or the other.
        let oracle = |offset: u32, fails: bool| {
            program(move |p| {
                p.write(offset, 5).load(2, hash).load(3, small(1_000));
                p.add(line(O::ErgsLeft, [0, 0], [8, 0])).add(line(O::Decommit, [2, 3], [1, 0]));
                p.add(line(O::ErgsLeft, [0, 0], [9, 0])).add(line(O::Sub, [8, 9], [8, 0])).store(7, 8);
                if fails {
                    p.add(line(O::Panic, [0, 0], [0, 0]));
                }
                p.pack(1, MAX).add(line(O::Return, [13, 0], [0, 0]));
            })
        };
        scene.contract(K, &oracle(length + 32, fails));
        scene.contract(L, &oracle(0, false));
        let finished = scene.run(&program(|p| {
            p.call(O::FarCall, K, MAX, 3).call(O::FarCall, L, MAX, 60);
            p.add(line(O::PointerRead, [1, 0], [2, 0])).store(7, 2);
            p.load(3, small(u64::from(length) + 32)).add(line(O::PointerAdd, [1, 3], [1, 0]));
            p.add(line(O::PointerRead, [1, 0], [2, 0])).store(8, 2);
            // It also runs from there.
            p.call(O::FarCall, A, MAX, 60).stop();
        }));
        let first = kernel(0x8001);
        assert_eq!(finished.slot(first, 7), first_word);
        assert_eq!(finished.slot(first, 8), small(5), "what lies behind the code stays");
        assert_eq!(finished.slot(L, 7), small(6 + 5), "the second time costs its two instructions alone");
        assert_eq!(finished.slot(K, 7), if fails { U256::ZERO } else { small(1_000 + 6 + 5) });
        assert_eq!((finished.slot(A, 7), finished.slot(A, 8)), (small(4), small(5)));
    }
}

#[test]
fn point_12_gas_ends_a_recursion_before_the_call_stack_is_full() {
    // The reference's stack has room for what four billion gas can call; ours has room for what a transaction can call.
    const { assert!(80_000_000 / 25 < MAX_FRAMES) };
    let mut scene = Scene::new();
    scene.gas = 200_000;
    scene.contract(
        A,
        &program(|p| {
            p.add(line(O::NearCall, [0, 0], [0, 0]).immediates([0, 1])).add(line(O::Panic, [0, 0], [0, 0]));
        }),
    );
    let finished = scene.run(&program(|p| {
        p.call(O::FarCall, A, Data { gas: 20_000, ..MAX }, 4).stop();
        p.store_number(7, 1).stop();
    }));
    assert_eq!(finished.slot(kernel(0x8001), 7), small(1));
}

#[test]
fn point_13_a_failing_frame_takes_the_end_of_a_transaction_back() {
    for (way, value) in [(O::Revert, 5), (O::Panic, 5), (O::Return, 0)] {
        let mut scene = Scene::new();
        scene.contract(
            K,
            &program(|p| {
                p.load(6, small(9)).load(7, small(2)).add(line(O::TransientWrite, [7, 6], [0, 0]));
                p.add(line(O::IncrementTransactionNumber, [0, 0], [0, 0]));
                p.load(6, small(8)).add(line(O::TransientWrite, [7, 6], [0, 0])).add(line(way, [0, 0], [0, 0]));
            }),
        );
        let first = kernel(0x8001);
        let finished = scene.run(&program(|p| {
            p.load(6, small(5)).load(7, small(1)).add(line(O::TransientWrite, [7, 6], [0, 0]));
            p.call(O::FarCall, K, MAX, 6);
            p.load(7, small(1)).add(line(O::TransientRead, [7, 0], [2, 0])).store(7, 2).stop();
        }));
        assert_eq!(finished.slot(first, 7), small(value), "{way:?}");
        assert_eq!(finished.machine.transaction(), 1, "the number itself is not taken back");
    }
}

#[test]
fn point_14_events_of_all_frames_of_the_kernel_are_recorded() {
    let mut scene = Scene::new();
    for (address, way) in [(K, O::Return), (L, O::Revert), (kernel(0x800d), O::Return), (A, O::Return)] {
        scene.contract(
            address,
            &program(|p| {
                p.add(line(O::Event, [0, 0], [0, 0]).flags(FLAG_0)).add(line(O::ToL1Message, [0, 0], [0, 0]));
                p.add(line(way, [0, 0], [0, 0]));
            }),
        );
    }
    let finished = scene.run(&program(|p| {
        p.call(O::FarCall, K, MAX, 3).call(O::FarCall, L, MAX, 6).call(O::FarCall, A, MAX, 9);
        p.call(O::FarCall, kernel(0x800d), MAX, 12).stop();
    }));
    let of = |events: &[crate::Event]| events.iter().map(|event| event.address).collect::<Vec<_>>();
    assert_eq!(of(finished.machine.events()), [K, kernel(0x800d)]);
    assert_eq!(of(finished.machine.logs()), [K, kernel(0x800d)]);
}

#[test]
fn point_15_a_grandparents_page_comes_back_from_below() {
    // The first frame's data goes down through K to L, and comes back up from there. K also keeps a pointer to what its
    // own callee returned, sends it down to L, and gets it back.
    let mut scene = Scene::new();
    scene.contract(
        B,
        &program(|p| {
            p.write(0, 55).give(data(0, 32));
        }),
    );
    scene.contract(
        L,
        &program(|p| {
            p.write(0, 66).call_forwarding(A, 1, MAX, 60).call(O::FarCall, B, MAX, 60);
            while p.here() < 60 {
                p.add(line(O::Nop, [0, 0], [0, 0]));
            }
            p.add(line(O::PointerAdd, [0, 0], [1, 0]).from(Place::StackAbsolute, 0));
            p.stop();
        }),
    );
    let echo = program(|p| {
        // Other heaps are made and freed here while the pointer is on the stack.
        p.add(line(O::PointerAdd, [1, 0], [0, 0]).to(Place::StackAbsolute, 0));
        p.write(0, 1).call(O::FarCall, B, MAX, 60).call(O::FarCall, B, MAX, 60);
        p.add(line(O::PointerAdd, [0, 0], [1, 0]).from(Place::StackAbsolute, 0));
        p.pack(1, MAX).add(line(O::Return, [13, 0], [0, 0]));
    });
    scene.contract(L, &echo);
    scene.contract(
        K,
        &program(|p| {
            p.add(line(O::PointerAdd, [1, 0], [0, 0]).to(Place::StackAbsolute, 1));
            // A pointer to what a callee returned goes down and comes back.
            p.call(O::FarCall, B, MAX, 60).call_forwarding(L, 1, MAX, 60);
            p.add(line(O::PointerRead, [1, 0], [2, 0])).store(7, 2);
            // The caller's pointer goes down, comes back, and goes on up.
            p.add(line(O::PointerAdd, [0, 0], [1, 0]).from(Place::StackAbsolute, 1)).call_forwarding(L, 1, MAX, 60);
            p.add(line(O::PointerRead, [1, 0], [2, 0])).store(8, 2);
            p.pack(1, MAX).add(line(O::Return, [13, 0], [0, 0]));
        }),
    );
    let first = kernel(0x8001);
    let finished = scene.run(&program(|p| {
        p.write(64, 77).call(O::FarCall, K, data(64, 32), 60);
        p.add(line(O::PointerRead, [1, 0], [2, 0])).store(7, 2);
        p.add(line(O::PointerAdd, [1, 0], [0, 0]).to(Place::StackAbsolute, 0));
        // A callee's page is kept as long as a pointer to it is on the stack, through another two hundred calls.
        p.call(O::FarCall, B, MAX, 60).add(line(O::PointerAdd, [1, 0], [0, 0]).to(Place::StackAbsolute, 1));
        p.load(8, small(200)).add(line(O::Add, [8, 0], [0, 0]).to(Place::StackAbsolute, 5));
        let again = p.here();
        p.call(O::FarCall, B, MAX, 60).load(8, small(1));
        p.add(line(O::Sub, [0, 8], [0, 0]).from(Place::StackAbsolute, 5).to(Place::StackAbsolute, 5).flags(FLAG_0));
        p.load(9, small(u64::from(again))).add(line(O::Jump, [9, 0], [0, 0]).condition(1));
        p.add(line(O::PointerAdd, [0, 0], [1, 0]).from(Place::StackAbsolute, 1));
        p.add(line(O::PointerRead, [1, 0], [2, 0])).store(8, 2).stop();
    }));
    assert_eq!(finished.end, End::Returned(Vec::new()));
    assert_eq!((finished.slot(K, 7), finished.slot(K, 8)), (small(55), small(77)));
    assert_eq!((finished.slot(first, 7), finished.slot(first, 8)), (small(77), small(55)));
    assert!(finished.machine.frame.pages.len() < 100, "the pages of two hundred calls are not all kept");
}

#[test]
fn point_16_a_precompiles_pages_and_lengths_are_the_references() {
    // Input and output that overlap, that are empty, and that lie beyond all that was written.
    for (address, call) in [
        (kernel(2), [0, 1 << 32, 0, 2]),
        (kernel(2), [5, 4 | 1 << 32, 0, 0]),
        (kernel(0x8010), [3 | 200 << 32, 1 << 32, 0, 0]),
        (kernel(0x8010), [0, 1 << 32, 0, 7]),
        (kernel(0x8010), [1_000_000 | 137 << 32, 2, 0, 0]),
        (kernel(1), [4 << 32, 2 << 32, 0, 1]),
        (kernel(6), [0, 3 << 32, 0, 1]),
        (kernel(7), [1, 1, 0, 0]),
        (kernel(8), [0, 0, 0, 0]),
        (kernel(5), [0, 0, 0, 1]),
        (kernel(0x100), [0, 0, 0, 1]),
    ] {
        let word = U256::from_limbs(call);
        let result = seventh_slot_after(address, move |p| {
            p.write(7, 12345).load(2, word).add(line(O::PrecompileCall, [2, 0], [3, 0])).store(7, 3).stop();
        });
        assert_eq!(result, small(1), "{address:x?} {call:x?}");
    }
}

#[test]
fn growth_that_cannot_be_paid_moves_the_bound_under_the_older_rule_alone() {
    for growth in [HeapGrowth::Always, HeapGrowth::Paid] {
        let mut scene = Scene::new();
        scene.growth = growth;
        scene.contract(
            A,
            &program(|p| {
                p.load(2, small(900_000)).add(line(O::NearCall, [0, 0], [0, 0]).immediates([5, 3]));
                p.stop();
                p.add(line(O::Meta, [0, 0], [4, 0])).store(7, 4).stop();
            }),
        );
        scene.run(&program(|p| {
            p.call(O::FarCall, A, Data { gas: 100_000, ..MAX }, 4).stop();
            p.store_number(7, 1).stop();
        }));
    }
}

#[test]
fn going_back_before_a_decommitment_gives_the_first_frame_its_heap_back() {
    let mut world = TestWorld::default();
    let hash = world.add_code(1, 1, vec![0xab; 96]);
    let code = program(|p| {
        p.write(32, 5).load(2, hash).add(line(O::Decommit, [2, 0], [1, 0])).stop();
    });
    let settings = Settings {
        default_account: hash,
        evm_emulator: hash,
        hook_offset: None,
        precompiles: Precompiles::All,
        growth: HeapGrowth::Paid,
    };
    let mut machine = Machine::new(settings, Arc::new(Code::new(code.bytes())), kernel(0x8001), 100_000, 0);
    let mut world = Rc::new(world);
    let mut steps = |machine: &mut Machine, count: usize| {
        for _ in 0..count {
            assert_eq!(machine.run_one(&mut world).expect("the code is known"), None);
        }
    };
    steps(&mut machine, 4);
    let snapshot = machine.snapshot().expect("the first frame runs");
    steps(&mut machine, 1);
    assert_eq!(machine.heap_word(1), U256::from_be_bytes([0xab; 32]));
    machine.roll_back(snapshot);
    assert_eq!(machine.heap_word(1), small(5));
    assert_eq!(machine.decommitted().count(), 0);
}
