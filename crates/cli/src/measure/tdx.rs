//! `teectl measure tdx`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tee_attestation::measure::{
    Firmware, MAX_FIRMWARE_BYTES, MAX_IMAGE_BYTES, Measured, PageOrder, kernel_arguments, register, started_kernel,
    unified_arguments,
};
use tee_checker::read;

use super::replay::quoted_registers;
use crate::exit::{self, Exit};

/// What the values were compared with. The numbers are in `docs/ATTESTATION.md`.
const COMPARED: &str = "MRTD: for Ubuntu's ovmf 2025.02-3ubuntu2 and ovmf-inteltdx 2025.02-8ubuntu3 this gives public values. RTMR1 \
                        and RTMR2: not compared with a public value.";

pub(super) const EXAMPLES: &str = "Examples:
  teectl measure tdx --firmware OVMF.inteltdx.fd --kernel vmlinuz --initrd initrd.img --cmdline quiet --rtmr0-of quote.bin > policy.yaml
  teectl measure tdx --firmware OVMF.inteltdx.fd --uki linux.efi --explain";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The firmware that the host starts the domain with, such as OVMF.inteltdx.fd.
    #[arg(long, value_name = "FILE")]
    firmware: PathBuf,
    /// The kernel that the host hands to the firmware, as QEMU's -kernel does.
    #[arg(long, value_name = "FILE", conflicts_with = "uki")]
    kernel: Option<PathBuf>,
    /// The initrd that the host hands over with the kernel.
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// The kernel's command line, as the host hands it over.
    #[arg(long, value_name = "TEXT", requires = "kernel", default_value = "", hide_default_value = true)]
    cmdline: String,
    /// A unified kernel image that the host hands over in the kernel's place.
    #[arg(long, value_name = "FILE")]
    uki: Option<PathBuf>,
    /// Take RTMR0 from this quote of such a machine: it depends on the machine's shape, such as its memory and ACPI
    /// tables.
    #[arg(long, value_name = "QUOTE")]
    rtmr0_of: Option<PathBuf>,
    /// Measure as hosts do that add all pages of a section before they measure any, such as Canonical's packages for
    /// Ubuntu 24.04.
    #[arg(long)]
    section_by_section: bool,
    /// Also show each measured piece.
    #[arg(long)]
    explain: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let measurements = match Measurements::of(args) {
        Ok(measurements) => measurements,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    if args.json {
        println!("{}", Value::Object(measurements.object()));
    } else {
        measurements.print(args.explain);
    }
    Ok(Exit::Success)
}

struct Measurements {
    sections: Vec<String>,
    mrtd: [u8; 48],
    rtmr0: Option<[u8; 48]>,
    /// The measurements in RTMR1 and RTMR2, if they are known.
    measured: [Option<Vec<Measured>>; 2],
}

impl Measurements {
    fn of(args: &Args) -> Result<Self> {
        let name = || args.firmware.display().to_string();
        let image = read(&args.firmware, MAX_FIRMWARE_BYTES)?;
        let firmware = Firmware::parse(&image).with_context(name)?;
        let order = if args.section_by_section { PageOrder::SectionBySection } else { PageOrder::PageByPage };
        let sections = firmware.sections().iter().map(|section| {
            let measured = if section.measured { "its data are measured" } else { "its place is measured" };
            format!("{:#012x}  {:>8} bytes, {measured}", section.memory_address, section.memory_bytes)
        });
        let rtmr0 = args.rtmr0_of.as_deref().map(quoted_registers).transpose()?.map(|[rtmr0, ..]| rtmr0);
        let program = args.kernel.as_deref().or(args.uki.as_deref());
        let program = program.map(|path| anyhow::Ok((path, read(path, MAX_IMAGE_BYTES)?))).transpose()?;
        let of_program = |path: &Path| path.display().to_string();
        let started = program.as_ref().map(|(path, program)| started_kernel(program).with_context(|| of_program(path)));
        let started = started.transpose()?;
        let initrd = args.initrd.as_deref().map(|path| read(path, MAX_IMAGE_BYTES)).transpose()?;
        let arguments = match program {
            Some((path, uki)) if args.uki.is_some() => unified_arguments(&uki).with_context(|| of_program(path))?,
            Some(_) => Some(kernel_arguments(&args.cmdline, initrd.as_deref())),
            None => None,
        };
        Ok(Self { sections: sections.collect(), mrtd: firmware.mrtd(order), rtmr0, measured: [started, arguments] })
    }

    /// The known registers of MRTD and RTMR0 to RTMR3. Nothing extends RTMR3 before the prover has its quote.
    fn registers(&self) -> [(&'static str, Option<String>); 5] {
        let [rtmr1, rtmr2] = self.measured.each_ref().map(|measured| measured.as_deref().map(register));
        [("MRTD", Some(self.mrtd)), ("RTMR0", self.rtmr0), ("RTMR1", rtmr1), ("RTMR2", rtmr2), ("RTMR3", Some([0; 48]))]
            .map(|(name, register)| (name, register.map(hex::encode)))
    }

    fn object(&self) -> Map<String, Value> {
        let registers =
            self.registers().map(|(name, register)| (name.to_owned(), register.map_or(Value::Null, Value::String)));
        registers.into_iter().chain([("compared".to_owned(), COMPARED.into())]).collect()
    }

    fn print(&self, explain: bool) {
        if explain {
            for section in &self.sections {
                println!("# MRTD   {section}");
            }
            for (name, measured) in ["RTMR1", "RTMR2"].into_iter().zip(&self.measured) {
                for Measured { name: what, digest } in measured.iter().flatten() {
                    println!("# {name}  {}  {what}", hex::encode(digest));
                }
            }
        }
        println!("# {COMPARED}");
        for (name, _) in self.registers().iter().filter(|(_, register)| register.is_none()) {
            println!(
                "# {name} cannot be computed from these files. The policy is incomplete without it: {}",
                how_to_know(name)
            );
        }
        println!("tdx:\n  mrs:");
        for (at, (name, register)) in self.registers().into_iter().enumerate() {
            let (begin, end) = (if at == 0 { "    - [" } else { "       " }, if at == 4 { "]" } else { "," });
            println!("{begin}\"{}\"{end} # {name}", register.unwrap_or_else(|| format!("{name} is missing")));
        }
    }
}

fn how_to_know(register: &str) -> &'static str {
    match register {
        "RTMR0" => {
            "--rtmr0-of takes it from a quote of such a machine, and teectl measure replay shows what it consists of."
        }
        "RTMR1" => "--kernel or --uki.",
        _ => {
            "--kernel, or --uki with sections .linux, .cmdline, .initrd, .uname and .sbat alone, and a console on its command line; for another \
             UKI a quote of a first start has it."
        }
    }
}
