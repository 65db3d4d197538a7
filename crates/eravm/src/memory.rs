//! Memory: heaps and code pages by their number, and stacks.
//!
//! The specification never frees a page. This machine frees those that no fat pointer can reach any more
//! (`instructions/ret.rs` says which). A precompile call of the kernel can still name a page by its number. If that
//! page was freed, the run stops with [`Limit::FreedPage`] instead of reading something else.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use crate::{Code, Limit, U256};

/// Number of a memory page.
pub type Page = u32;

/// A page to which nothing is ever mapped. Empty pointers name it.
pub(crate) const UNMAPPED_PAGE: Page = 0;
/// The page of static memory, one for the whole run.
pub(crate) const STATIC_PAGE: Page = 1;
/// The first frame's pages begin here.
pub(crate) const FIRST_BASE_PAGE: Page = 8;
/// The pages of all further frames begin here.
pub(crate) const SECOND_BASE_PAGE: Page = 2048;
/// Page numbers that each frame takes.
pub(crate) const PAGES_PER_FRAME: Page = 8;
/// The offset of a frame's heap from its base page.
pub(crate) const HEAP: Page = 2;
/// The offset of a frame's auxiliary heap from its base page.
pub(crate) const AUX_HEAP: Page = 3;

/// The most bytes of all heaps together. A transaction pays one unit of gas per byte beyond the stipends, and has 80
/// million; the bootloader's heap is 64 MB.
const MAX_HEAP_BYTES: usize = 512 << 20;
/// Heaps grow at least to this size, in multiples of it.
const HEAP_STEP_BYTES: usize = 1 << 10;
/// Larger heaps are given back to the allocator instead of being kept for the next frame.
const MAX_KEPT_HEAP_BYTES: usize = 1 << 16;
/// Stacks that are kept for the next frames.
const MAX_KEPT_STACKS: usize = 64;

/// A heap's place in [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeapId(u32);

impl HeapId {
    /// The heap of a frame that has not written to it.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// The content that a page number names.
#[derive(Debug, Clone)]
enum Content {
    Heap(HeapId),
    Code(Arc<Code>),
}

/// All pages except the stacks.
#[derive(Debug)]
pub(crate) struct Memory {
    pages: HashMap<Page, Content, RandomState>,
    heaps: Vec<Heap>,
    unused: Vec<HeapId>,
    total_bytes: usize,
    /// The page number of a fresh heap and its id, looked up last.
    last: (Page, HeapId),
    /// While there is a snapshot: the old values of the first frame's heaps, as (heap, word, value), in order.
    undo: Option<Vec<(HeapId, u32, U256)>>,
    /// Pages below this one existed when the snapshot was made.
    undo_below: Page,
    stacks: Vec<Stack>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            pages: HashMap::default(),
            heaps: Vec::new(),
            unused: Vec::new(),
            total_bytes: 0,
            last: (UNMAPPED_PAGE, HeapId::NONE),
            undo: None,
            undo_below: UNMAPPED_PAGE,
            stacks: Vec::new(),
        }
    }

    /// A heap of `bytes` zeros. The operating system provides the memory only when it is used.
    pub(crate) fn add_heap_with_capacity(&mut self, page: Page, bytes: usize) -> HeapId {
        let id = self.add_heap(page);
        if let Some(heap) = self.heaps.get_mut(id.0 as usize) {
            heap.bytes = vec![0; bytes];
            self.total_bytes += bytes;
        }
        id
    }

    /// An empty heap under this page number.
    pub(crate) fn add_heap(&mut self, page: Page) -> HeapId {
        let id = self.unused.pop().unwrap_or_else(|| {
            self.heaps.push(Heap::default());
            // Bounded by the call depth.
            HeapId(u32::try_from(self.heaps.len() - 1).unwrap_or(u32::MAX))
        });
        self.pages.insert(page, Content::Heap(id));
        id
    }

    /// Puts code under a page number.
    pub(crate) fn add_code(&mut self, page: Page, code: Arc<Code>) {
        self.pages.insert(page, Content::Code(code));
    }

    /// The code under a page number, if there is code.
    pub(crate) fn code(&self, page: Page) -> Option<&Arc<Code>> {
        match self.pages.get(&page) {
            Some(Content::Code(code)) => Some(code),
            _ => None,
        }
    }

    /// The heap under a page number, if there is one.
    pub(crate) fn heap_id(&self, page: Page) -> Option<HeapId> {
        match self.pages.get(&page) {
            Some(Content::Heap(id)) => Some(*id),
            _ => None,
        }
    }

    /// Whether a page number has content.
    pub(crate) fn has(&self, page: Page) -> bool {
        self.pages.contains_key(&page)
    }

    /// Removes the code under a page number.
    pub(crate) fn remove_code(&mut self, page: Page) {
        if self.code(page).is_some() {
            self.pages.remove(&page);
        }
    }

    /// Frees a heap that nothing can reach any more.
    pub(crate) fn free(&mut self, page: Page) {
        if let Some(Content::Heap(id)) = self.pages.remove(&page) {
            if self.last.0 == page {
                self.last = (UNMAPPED_PAGE, HeapId::NONE);
            }
            if let Some(heap) = self.heaps.get_mut(id.0 as usize) {
                self.total_bytes -= heap.bytes.len();
                heap.clear();
                self.unused.push(id);
            }
        }
    }

    pub(crate) fn heap(&self, id: HeapId) -> Option<&Heap> {
        self.heaps.get(id.0 as usize)
    }

    /// The 32 bytes at `offset` of a heap.
    #[inline(always)]
    pub(crate) fn read_heap(&self, id: HeapId, offset: u32) -> U256 {
        self.heaps.get(id.0 as usize).map_or(U256::ZERO, |heap| heap.read(offset))
    }

    /// Writes the 32 bytes at `offset` of a heap.
    #[inline(always)]
    pub(crate) fn write_heap(&mut self, id: HeapId, offset: u32, value: U256) -> Result<(), Limit> {
        let Some(heap) = self.heaps.get_mut(id.0 as usize) else { return Ok(()) };
        let end = offset as usize + 32;
        if end > heap.bytes.len() {
            Self::grow(heap, &mut self.total_bytes, end)?;
        }
        heap.write(offset, value);
        Ok(())
    }

    #[cold]
    fn grow(heap: &mut Heap, total_bytes: &mut usize, end: usize) -> Result<(), Limit> {
        let new = end.max(heap.bytes.len() * 2).next_multiple_of(HEAP_STEP_BYTES);
        *total_bytes += new - heap.bytes.len();
        if *total_bytes > MAX_HEAP_BYTES {
            return Err(Limit::Memory);
        }
        heap.bytes.resize(new, 0);
        Ok(())
    }

    /// The 32 bytes at `offset` of a page that a fat pointer names.
    #[inline(always)]
    pub(crate) fn read_page(&mut self, page: Page, offset: u32) -> U256 {
        if self.last.0 == page {
            return self.read_heap(self.last.1, offset);
        }
        match self.pages.get(&page) {
            Some(Content::Heap(id)) => {
                self.last = (page, *id);
                self.read_heap(*id, offset)
            }
            Some(Content::Code(code)) => {
                let mut bytes = [0; 32];
                code.read(offset as usize, &mut bytes);
                U256::from_be_bytes(bytes)
            }
            None => U256::ZERO,
        }
    }

    /// Reads the bytes of a page from `offset` on, with zeros where nothing was written.
    pub(crate) fn read_bytes(&self, page: Page, offset: usize, bytes: &mut [u8]) {
        match self.pages.get(&page) {
            Some(Content::Heap(id)) => {
                if let Some(heap) = self.heap(*id) {
                    heap.read_bytes(offset, bytes);
                }
            }
            Some(Content::Code(code)) => code.read(offset, bytes),
            None => bytes.fill(0),
        }
    }

    /// The bytes of a page, without the endless zeros that follow.
    pub(crate) fn page_bytes(&self, page: Page) -> &[u8] {
        match self.pages.get(&page) {
            Some(Content::Heap(id)) => self.heap(*id).map_or(&[], |heap| &heap.bytes),
            Some(Content::Code(code)) => code.bytes(),
            None => &[],
        }
    }

    /// Words of a page that may hold something.
    #[cfg(all(test, equal))]
    pub(crate) fn page_words(&self, page: Page) -> u32 {
        self.page_bytes(page).len().div_ceil(32) as u32
    }

    /// Writes a word of a page, as a precompile does. Code pages cannot be written: only a program that names one by
    /// number could try, and no page that a program may write to is a code page.
    pub(crate) fn write_word(&mut self, page: Page, word: u32, value: U256) -> Result<(), Limit> {
        let offset = word.checked_mul(32).filter(|offset| *offset <= u32::MAX - 32).ok_or(Limit::Memory)?;
        let id = match self.pages.get(&page) {
            Some(Content::Heap(id)) => *id,
            Some(Content::Code(_)) => return Err(Limit::WriteToCode),
            None => self.add_heap(page),
        };
        // Newer pages are gone once the writes are undone, and others may have their numbers.
        if page < self.undo_below {
            self.note_undo(id, offset);
        }
        self.write_heap(id, offset, value)
    }

    /// Saves the word, or the two words, at `offset`, if there is a snapshot.
    #[inline(always)]
    pub(crate) fn note_undo(&mut self, id: HeapId, offset: u32) {
        if self.undo.is_some() {
            let value = self.read_heap(id, offset);
            if let Some(undo) = &mut self.undo {
                undo.push((id, offset, value));
            }
        }
    }

    /// From now on, writes that are announced by [`Self::note_undo`] can be undone. Pages from `next` on do not exist
    /// yet.
    pub(crate) fn begin_undo(&mut self, next: Page) {
        self.undo = Some(Vec::new());
        self.undo_below = next;
    }

    /// Whether there is a snapshot.
    pub(crate) fn can_undo(&self) -> bool {
        self.undo.is_some()
    }

    /// Undoes all writes since [`Self::begin_undo`].
    pub(crate) fn undo(&mut self) {
        for (id, offset, value) in self.undo.take().unwrap_or_default().into_iter().rev() {
            if let Some(heap) = self.heaps.get_mut(id.0 as usize)
                && heap.bytes.len() >= offset as usize + 32
            {
                heap.write(offset, value);
            }
        }
    }

    /// Forgets what could be undone.
    pub(crate) fn end_undo(&mut self) {
        self.undo = None;
    }

    /// A stack of zeros.
    pub(crate) fn take_stack(&mut self) -> Stack {
        self.stacks.pop().unwrap_or_default()
    }

    /// Takes back a stack that nothing refers to any more.
    pub(crate) fn give_back_stack(&mut self, mut stack: Stack) {
        if self.stacks.len() < MAX_KEPT_STACKS {
            stack.clear();
            self.stacks.push(stack);
        }
    }
}

/// A heap: its bytes from 0 on, followed by zeros.
#[derive(Debug, Default, Clone)]
pub(crate) struct Heap {
    bytes: Vec<u8>,
}

impl Heap {
    #[inline(always)]
    fn read(&self, offset: u32) -> U256 {
        let start = offset as usize;
        if let Some(bytes) = self.bytes.get(start..start + 32)
            && let Ok(bytes) = <[u8; 32]>::try_from(bytes)
        {
            return U256::from_be_bytes(bytes);
        }
        let mut bytes = [0; 32];
        self.read_bytes(start, &mut bytes);
        U256::from_be_bytes(bytes)
    }

    #[inline(always)]
    fn write(&mut self, offset: u32, value: U256) {
        let start = offset as usize;
        if let Some(bytes) = self.bytes.get_mut(start..start + 32) {
            bytes.copy_from_slice(&value.to_be_bytes::<32>());
        }
    }

    /// Reads the bytes from `offset` on, with zeros where there are none.
    pub(crate) fn read_bytes(&self, offset: usize, to: &mut [u8]) {
        let from = self.bytes.get(offset..).unwrap_or_default();
        let count = from.len().min(to.len());
        let (known, rest) = to.split_at_mut(count);
        known.copy_from_slice(&from[..count]);
        rest.fill(0);
    }

    fn clear(&mut self) {
        if self.bytes.capacity() > MAX_KEPT_HEAP_BYTES {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

/// Words of a stack.
const STACK_WORDS: usize = 1 << 16;
/// Words of a stack that are cleared together: most frames use fewer.
const AREA_WORDS: usize = 64;
const AREAS: usize = STACK_WORDS / AREA_WORDS;

/// A frame's stack: 65,536 words, each with a mark that says whether it is a fat pointer.
pub(crate) struct Stack {
    /// Zeros at first. The operating system provides the memory only when it is used.
    words: Box<[[u64; 4]; STACK_WORDS]>,
    pointers: Box<[u64; STACK_WORDS / 64]>,
    /// Areas that were written.
    dirty: [u64; AREAS / 64],
}

impl Default for Stack {
    fn default() -> Self {
        let words = vec![[0; 4]; STACK_WORDS].into_boxed_slice();
        let pointers = vec![0; STACK_WORDS / 64].into_boxed_slice();
        Self {
            words: words.try_into().unwrap_or_else(|_| unreachable!("the length is the array's")),
            pointers: pointers.try_into().unwrap_or_else(|_| unreachable!("the length is the array's")),
            dirty: [0; AREAS / 64],
        }
    }
}

impl Clone for Stack {
    /// Copies what was written, and leaves the rest untouched.
    fn clone(&self) -> Self {
        let mut copy = Self { dirty: self.dirty, ..Self::default() };
        for area in areas(self.dirty) {
            let words = area * AREA_WORDS..(area + 1) * AREA_WORDS;
            let marks = words.start / 64..words.end / 64;
            copy.words[words.clone()].copy_from_slice(&self.words[words]);
            copy.pointers[marks.clone()].copy_from_slice(&self.pointers[marks]);
        }
        copy
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

impl Stack {
    #[inline(always)]
    pub(crate) fn read(&self, index: u16) -> (U256, bool) {
        let pointer = self.pointers[usize::from(index) / 64] >> (index % 64) & 1 == 1;
        (U256::from_limbs(self.words[usize::from(index)]), pointer)
    }

    #[inline(always)]
    pub(crate) fn write(&mut self, index: u16, value: U256, pointer: bool) {
        let index = usize::from(index);
        self.words[index] = value.into_limbs();
        let marks = &mut self.pointers[index / 64];
        *marks = *marks & !(1 << (index % 64)) | u64::from(pointer) << (index % 64);
        self.dirty[index / AREA_WORDS / 64] |= 1 << (index / AREA_WORDS % 64);
    }

    /// All words that are marked as pointers.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = U256> {
        self.pointers.iter().enumerate().filter(|(_, marks)| **marks != 0).flat_map(move |(group, marks)| {
            (0..64)
                .filter(move |bit| marks >> bit & 1 == 1)
                .map(move |bit| U256::from_limbs(self.words[group * 64 + bit]))
        })
    }

    /// Indices of all words that are not zero.
    #[cfg(all(test, equal))]
    pub(crate) fn written(&self) -> impl Iterator<Item = u16> {
        areas(self.dirty)
            .flat_map(|area| area * AREA_WORDS..(area + 1) * AREA_WORDS)
            .map(|index| index as u16)
            .filter(|index| self.read(*index) != (U256::ZERO, false))
    }

    fn clear(&mut self) {
        for area in areas(std::mem::take(&mut self.dirty)) {
            self.words[area * AREA_WORDS..(area + 1) * AREA_WORDS].fill([0; 4]);
            self.pointers[area * AREA_WORDS / 64..(area + 1) * AREA_WORDS / 64].fill(0);
        }
    }
}

/// The numbers of the areas that are marked.
fn areas(marks: [u64; AREAS / 64]) -> impl Iterator<Item = usize> {
    marks.into_iter().enumerate().flat_map(|(place, mut marks)| {
        std::iter::from_fn(move || {
            let bit = marks.trailing_zeros() as usize;
            marks &= marks.checked_sub(1)?;
            Some(place * 64 + bit)
        })
    })
}
