//! The instructions, one file per group.

mod arithmetic;
mod call;
mod context;
mod heap;
mod log;
mod operands;
mod pointer;
mod ret;
mod storage;

#[cfg(all(test, equal))]
pub(crate) use self::log::code_key;
