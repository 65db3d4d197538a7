//! What all pages for people have in common, whichever program serves them: the frame and the style, the headers that
//! restrict what a browser does with them, and how times, hashes, statements and checked proofs are written.
//!
//! A program's own pages extend `templates/page.html` and use the macros of `templates/shared.html`, both in this
//! crate, by their relative paths. The content of a page is its program's own: the server vouches for its pages, and
//! whoever runs `teectl proofs verify --serve` vouches for those.

mod answer;
mod checked;
mod loopback;
mod shown;
mod statement;

pub use self::{
    answer::{answer, assets},
    checked::{CheckedProof, StepLine},
    loopback::names_loopback,
    shown::{At, Bytes, Short, Span, Tone, counted, cut, tee},
    statement::{Field, LogLine, Stated},
};
