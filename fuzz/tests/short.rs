//! A short run of every target without libFuzzer: its seeds, past findings (`fuzz/regressions/<target>/`), and random changes
//! to both.
//!
//! `TEE_FUZZ_CHANGES` sets the number of changes to each, `TEE_FUZZ_SEED` the sequence.

use std::{env, fs, path::Path, str::FromStr};

use tee_fuzz::{TARGETS, Target};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn regressions(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target.name);
    let Ok(files) = fs::read_dir(folder) else { return vec![] };
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn changed(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let (at, end) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
        let some = at.min(end)..at.max(end);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next() as u8),
            2 => drop(bytes.drain(some.start..some.end.min(some.start + 8))),
            // A part of it twice.
            3 => drop(bytes.splice(at..at, bytes[some.start..some.end.min(some.start + 64)].to_vec())),
            // Long lengths, deep nesting, text that ends early.
            4 => drop(bytes.splice(at..at, [[0xff; 8], [b'['; 8], [0x9b; 8], *b"\"},{}:0-"][random.below(4)])),
            5 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
            6 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = random.next() as u8),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte = b"0123456789abcdef\"-"[random.below(18)]),
        }
    }
    bytes
}

fn short_run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut random = Random(from_environment("TEE_FUZZ_SEED", 1));
    let changes = from_environment("TEE_FUZZ_CHANGES", target.short);
    let starts = [(target.seeds)(), regressions(target)].concat();
    for start in &starts {
        (target.run)(start);
        for _ in 0..changes {
            (target.run)(&changed(start, &mut random));
        }
    }
    println!("{name}: {} runs", starts.len() * (changes as usize + 1));
}

macro_rules! short_runs {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            short_run(stringify!($target));
        })*

        #[test]
        fn every_target_has_its_short_run_and_its_binary() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($target)),*]);
            let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
            assert!(TARGETS.iter().all(|target| manifest.contains(&format!("name = \"{}\"", target.name))));
        }
    };
}

short_runs!(batch_cbor batch_json batch_zstd collateral era_blobs event_log firmware image judge keys machine policy quote report_data sigstruct verify wire);
