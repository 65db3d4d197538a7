//! The network: one interface with one address, as the host says. There is no DHCP: no packet is read before the prover runs.
//!
//! Messages to the kernel: Linux, `rtnetlink(7)` and `netlink(7)`. All numbers are in the machine's byte order.

use std::{fs, net::IpAddr, os::fd::AsRawFd, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    errno::Errno,
    libc,
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket},
};

/// The kernel's first Ethernet interface. Nothing in the image renames it.
const INTERFACE: &str = "eth0";
/// What `/etc/resolv.conf` in the image leads to.
const RESOLV_CONF: &str = "/run/resolv.conf";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: Subnet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) nameserver: Option<IpAddr>,
}

/// An address with the length of its network's prefix, as in `192.0.2.7/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    pub(crate) fn check(&self) -> Result<()> {
        let same_family = |gateway: IpAddr| gateway.is_ipv4() == self.address.address.is_ipv4();
        ensure!(self.gateway.is_none_or(same_family), "gateway: of another family than the address");
        Ok(())
    }
}

impl FromStr for Subnet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (address, prefix) = text.split_once('/').context("not an address with a prefix, as in 192.0.2.7/24")?;
        let (address, prefix_bits): (IpAddr, u8) = (address.parse()?, prefix.parse()?);
        ensure!(usize::from(prefix_bits) <= 8 * octets(address).len(), "the prefix is longer than the address");
        Ok(Self { address, prefix_bits })
    }
}

pub(crate) fn set_up(network: &Network) -> Result<()> {
    reach(network)?;
    let resolver = network.nameserver.map(|nameserver| format!("nameserver {nameserver}\n"));
    fs::write(RESOLV_CONF, resolver.unwrap_or_default()).context(RESOLV_CONF)
}

fn reach(network: &Network) -> Result<()> {
    tell_kernel("the interface lo", &up(index("lo")?))?;
    let index = index(INTERFACE)?;
    tell_kernel("the interface", &up(index))?;
    tell_kernel("the address", &add_address(index, network.address))?;
    if let Some(gateway) = network.gateway {
        tell_kernel("the gateway", &add_default_route(index, gateway))?;
    }
    Ok(())
}

fn index(interface: &str) -> Result<u32> {
    if_nametoindex(interface).with_context(|| format!("the interface {interface}"))
}

/// `struct ifinfomsg`: family, padding, type, index, flags, and which flags change.
fn up(index: u32) -> Vec<u8> {
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    request(libc::RTM_NEWLINK, 0, &[&[0; 4], &index.to_ne_bytes(), &up, &up], &[])
}

/// `struct ifaddrmsg`: family, prefix, flags, scope, index.
fn add_address(index: u32, Subnet { address, prefix_bits }: Subnet) -> Vec<u8> {
    // Usable at once: IPv6 otherwise looks for the same address on other machines first.
    let flags = libc::IFA_F_NODAD as u8;
    let header = [family(address), prefix_bits, flags, libc::RT_SCOPE_UNIVERSE];
    let address = octets(address);
    let attributes = [(libc::IFA_LOCAL, &*address), (libc::IFA_ADDRESS, &*address)];
    request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &[&header, &index.to_ne_bytes()], &attributes)
}

/// `struct rtmsg`: family, prefixes of destination and source, type of service, table, origin, scope, type, flags.
fn add_default_route(index: u32, gateway: IpAddr) -> Vec<u8> {
    let (table, origin) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
    let header = [family(gateway), 0, 0, 0, table, origin, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST, 0, 0, 0, 0];
    let (gateway, index) = (octets(gateway), index.to_ne_bytes());
    let attributes = [(libc::RTA_GATEWAY, &*gateway), (libc::RTA_OIF, &index)];
    request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &[&header], &attributes)
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// `struct nlmsghdr` (length, type, flags, sequence, port), the message, and its attributes (`struct rtattr`: length, type, value).
fn request(kind: u16, flags: i32, message: &[&[u8]], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut bytes = [&[0; 4][..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]].concat();
    bytes.extend(message.concat());
    for (kind, value) in attributes {
        // All values here have a multiple of four bytes, which is what attributes are aligned to.
        let length = (4 + value.len()) as u16;
        bytes.extend([&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat());
    }
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// Sends a request and waits for the kernel's answer: a header, then an error number, which is 0 if all is well.
fn tell_kernel(what: &str, request: &[u8]) -> Result<()> {
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(kernel.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 20];
    let answered = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let [.., e0, e1, e2, e3] = answer;
    match i32::from_ne_bytes([e0, e1, e2, e3]) {
        0 if answered == answer.len() => Ok(()),
        error => bail!("{what}: {}", Errno::from_raw(-error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use std::{process::Command, thread};

    #[test]
    fn the_kernel_takes_addresses_and_gateways_of_both_families() {
        // In a network of its own, which is this thread's alone.
        let shown = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).ok()?;
            ip(&["link", "add", INTERFACE, "type", "veth", "peer", "name", "host"]);
            ip(&["link", "set", "host", "up"]);
            let network = |address: &str, gateway: &str| Network {
                address: address.parse().unwrap(),
                gateway: Some(gateway.parse().unwrap()),
                nameserver: None,
            };
            reach(&network("192.0.2.7/24", "192.0.2.1")).unwrap();
            reach(&network("2001:db8::7/64", "2001:db8::1")).unwrap();
            let again = reach(&network("192.0.2.7/24", "192.0.2.1")).unwrap_err().to_string();
            Some([
                again,
                ip(&["-oneline", "address", "show", "dev", "lo"]),
                ip(&["-oneline", "address", "show", "dev", INTERFACE]),
                ip(&["route"]),
                ip(&["-6", "route"]),
            ])
        });
        let Some([again, loopback, interface, route, route_6]) = shown.join().unwrap() else {
            return test_skips::skip("root");
        };
        assert_eq!(again, "the address: EEXIST: File exists");
        assert!(loopback.contains("inet 127.0.0.1/8"), "{loopback}");
        assert!(interface.contains("inet 192.0.2.7/24 scope global eth0"), "{interface}");
        assert!(interface.contains("inet6 2001:db8::7/64 scope global nodad"), "{interface}");
        assert!(route.contains("default via 192.0.2.1 dev eth0 proto static"), "{route}");
        assert!(route_6.contains("default via 2001:db8::1 dev eth0 proto static"), "{route_6}");
    }

    fn ip(arguments: &[&str]) -> String {
        let output = Command::new("ip").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
