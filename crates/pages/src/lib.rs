//! What pages for people have in common, whoever serves them: the frame and the style, the headers that keep a browser from doing
//! more than showing them, and how times, hashes, statements and checked proofs are written.
//!
//! A program's own pages extend `templates/page.html` and use the macros of `templates/shared.html`, both of this crate, by their relative
//! paths. What is said in a page is its program's own: the server's pages are the server's word, and those of
//! `teectl proofs verify --serve` are the word of whoever runs it.

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
