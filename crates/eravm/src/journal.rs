//! The journal: storage, transient storage, events and logs, and what it takes to undo changes of them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{Address, Limit, Slot, Stop, U256, World};

/// Gas of storage accesses, as the specification prices them (`STORAGE_ACCESS_…`).
const COLD_READ_GAS: u32 = 2000;
const WARM_READ_GAS: u32 = 30;
const COLD_WRITE_GAS: u32 = 5500;
const WARM_WRITE_GAS: u32 = 60;

/// An event as the kernel emits it: one topic or piece of data at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The contract that emits it.
    pub address: Address,
    /// Whether it begins a new event.
    pub is_first: bool,
    /// The number of the transaction in the batch.
    pub transaction: u16,
    /// First word.
    pub key: U256,
    /// Second word.
    pub value: U256,
}

/// A log from L2 to L1. It has the same five fields.
pub type L2ToL1Log = Event;

/// A slot that a run wrote, or only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The contract.
    pub address: Address,
    /// The slot.
    pub key: U256,
    /// The slot before the run.
    pub before: Slot,
    /// Its value now.
    pub value: U256,
    /// Whether the program has read the value before the run. Reads in frames that failed count, too.
    pub is_read: bool,
    /// Whether a write to it remains, even one that changes nothing.
    pub is_written: bool,
}

/// A point that can be rolled back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    undo: u32,
    events: u32,
    logs: u32,
    pub(crate) pubdata: i32,
}

impl Mark {
    /// Whether rolling back to this mark would go past the other one.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.undo < other.undo || self.events < other.events || self.logs < other.logs
    }
}

#[derive(Debug, Clone)]
struct SlotState {
    address: Address,
    key: U256,
    before: Slot,
    value: U256,
    /// Writes to it that were not rolled back.
    writes: u32,
    /// Bytes to publish that were counted for it.
    paid: u32,
    warm: Warm,
    is_free: bool,
}

/// What was ever done to a slot, including what was rolled back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Warm {
    /// The value before the run was read.
    was_seen: bool,
    was_read: bool,
    was_written: bool,
}

#[derive(Debug, Clone)]
enum Undo {
    Write { slot: u32, value: U256, paid: u32 },
    Transient { address: Address, key: U256, value: U256 },
}

/// Everything that a failing frame rolls back.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    index: HashMap<(Address, U256), u32, RandomState>,
    slots: Vec<SlotState>,
    transient: HashMap<(Address, U256), U256, RandomState>,
    undo: Vec<Undo>,
    pub(crate) events: Vec<Event>,
    pub(crate) logs: Vec<L2ToL1Log>,
    /// Bytes to publish for the changes so far.
    pub(crate) pubdata: i32,
    /// The number of unproven slots with a write that was not rolled back.
    unproven_written: usize,
    /// Warm marks to remove if the whole machine goes back.
    warmed: Option<Vec<(u32, Warm)>>,
}

impl Journal {
    /// Returns the value of a slot, and the gas to give back.
    pub(crate) fn read<W: World>(
        &mut self,
        world: &mut W,
        address: &Address,
        key: &U256,
    ) -> Result<(U256, u32), Stop<W::Fault>> {
        let id = self.slot(world, address, key)?;
        let slot = &mut self.slots[id as usize];
        if slot.writes == 0 && !slot.before.is_proven {
            return Err(Stop::UnprovenRead { address: *address, key: *key });
        }
        let refund = if slot.warm.was_read || slot.is_free { COLD_READ_GAS - WARM_READ_GAS } else { 0 };
        let value = slot.value;
        let was_seen = slot.warm.was_seen || slot.writes == 0;
        let warm = Warm { was_seen, was_read: true, ..slot.warm };
        self.warm(id, warm);
        Ok((value, refund))
    }

    /// Writes a slot. Returns the gas to give back, and adds to the bytes to publish.
    pub(crate) fn write<W: World>(
        &mut self,
        world: &mut W,
        address: &Address,
        key: &U256,
        value: U256,
    ) -> Result<u32, Stop<W::Fault>> {
        let id = self.slot(world, address, key)?;
        let slot = &mut self.slots[id as usize];
        let refund = if slot.warm.was_written || slot.is_free {
            COLD_WRITE_GAS - WARM_WRITE_GAS
        } else if slot.warm.was_read {
            COLD_READ_GAS
        } else {
            0
        };
        self.undo.push(Undo::Write { slot: id, value: slot.value, paid: slot.paid });
        if slot.writes == 0 && !slot.before.is_proven {
            self.unproven_written += 1;
        }
        slot.writes = slot.writes.saturating_add(1);
        slot.value = value;
        if !slot.is_free {
            let cost = if value == slot.before.value { 0 } else { world.publishing_cost(&slot.before, &value) };
            let change = i64::from(cost) - i64::from(slot.paid);
            let pubdata = i32::try_from(i64::from(self.pubdata) + change);
            self.pubdata = pubdata.map_err(|_| Stop::Limit(Limit::Pubdata))?;
            slot.paid = cost;
        }
        let warm = Warm { was_read: true, was_written: true, ..slot.warm };
        self.warm(id, warm);
        Ok(refund)
    }

    fn warm(&mut self, id: u32, warm: Warm) {
        let slot = &mut self.slots[id as usize];
        if slot.warm != warm {
            if let Some(warmed) = &mut self.warmed {
                warmed.push((id, slot.warm));
            }
            slot.warm = warm;
        }
    }

    fn slot<W: World>(&mut self, world: &mut W, address: &Address, key: &U256) -> Result<u32, Stop<W::Fault>> {
        if let Some(id) = self.index.get(&(*address, *key)) {
            return Ok(*id);
        }
        let before = world.slot(address, key).map_err(Stop::World)?;
        let id = self.slots.len() as u32;
        self.slots.push(SlotState {
            address: *address,
            key: *key,
            before,
            value: before.value,
            writes: 0,
            paid: 0,
            warm: Warm::default(),
            is_free: world.is_free(address, key),
        });
        self.index.insert((*address, *key), id);
        Ok(id)
    }

    pub(crate) fn read_transient(&self, address: &Address, key: &U256) -> U256 {
        self.transient.get(&(*address, *key)).copied().unwrap_or_default()
    }

    /// All transient slots.
    #[cfg(all(test, equal))]
    pub(crate) fn transient_slots(&self) -> impl Iterator<Item = (&(Address, U256), &U256)> {
        self.transient.iter()
    }

    pub(crate) fn write_transient(&mut self, address: &Address, key: &U256, value: U256) {
        let before = self.transient.insert((*address, *key), value).unwrap_or_default();
        self.undo.push(Undo::Transient { address: *address, key: *key, value: before });
    }

    /// Clears transient storage. If an outer frame fails, this is undone.
    pub(crate) fn clear_transient(&mut self) {
        for ((address, key), value) in self.transient.drain() {
            self.undo.push(Undo::Transient { address, key, value });
        }
    }

    /// Adds bytes to publish for something other than storage.
    pub(crate) fn add_pubdata(&mut self, bytes: u32) -> Option<()> {
        self.pubdata = i32::try_from(bytes).ok().and_then(|bytes| self.pubdata.checked_add(bytes))?;
        Some(())
    }

    /// A slot with a write that was not rolled back, although nothing proves its value before the run.
    pub(crate) fn unproven_write(&self) -> Option<(Address, U256)> {
        if self.unproven_written == 0 {
            return None;
        }
        let slot = self.slots.iter().find(|slot| slot.writes > 0 && !slot.before.is_proven)?;
        Some((slot.address, slot.key))
    }

    pub(crate) fn mark(&self) -> Mark {
        // The numbers fit: a batch has 32 bits of gas, and each entry takes some.
        Mark {
            undo: self.undo.len() as u32,
            events: self.events.len() as u32,
            logs: self.logs.len() as u32,
            pubdata: self.pubdata,
        }
    }

    /// Undoes all changes since a mark. What was once read or written stays warm.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo as usize {
            match self.undo.pop() {
                Some(Undo::Write { slot, value, paid }) => {
                    let slot = &mut self.slots[slot as usize];
                    slot.value = value;
                    slot.paid = paid;
                    slot.writes -= 1;
                    if slot.writes == 0 && !slot.before.is_proven {
                        self.unproven_written -= 1;
                    }
                }
                Some(Undo::Transient { address, key, value }) => {
                    self.transient.insert((address, key), value);
                }
                None => break,
            }
        }
        self.events.truncate(mark.events as usize);
        self.logs.truncate(mark.logs as usize);
        self.pubdata = mark.pubdata;
    }

    /// Forgets how to undo what was done so far.
    pub(crate) fn forget_undo(&mut self) {
        self.undo.clear();
    }

    /// From now on, warm marks can be removed, too.
    pub(crate) fn begin_undo_warm(&mut self) {
        self.warmed = Some(Vec::new());
    }

    /// Removes the warm marks since [`Self::begin_undo_warm`].
    pub(crate) fn undo_warm(&mut self) {
        for (id, warm) in self.warmed.take().unwrap_or_default().into_iter().rev() {
            self.slots[id as usize].warm = warm;
        }
    }

    /// Keeps the warm marks.
    pub(crate) fn end_undo_warm(&mut self) {
        self.warmed = None;
    }

    /// The value that a slot holds now, if the run has touched it.
    pub(crate) fn current(&self, address: &Address, key: &U256) -> Option<U256> {
        self.index.get(&(*address, *key)).map(|id| self.slots[*id as usize].value)
    }

    /// All slots that were touched, including accesses that were rolled back.
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Access> {
        self.slots.iter().filter(|slot| slot.warm.was_read).map(|slot| Access {
            address: slot.address,
            key: slot.key,
            before: slot.before,
            value: slot.value,
            is_read: slot.warm.was_seen,
            is_written: slot.writes > 0,
        })
    }
}
