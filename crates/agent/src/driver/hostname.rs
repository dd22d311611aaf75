//! The name of this machine, as other machines reach it (`Slave::initialize` in `src/slave/slave.cpp`).

use std::net::Ipv4Addr;

use flags::agent::NetworkSettings;

/// What `--hostname` says; else what the address is called (`--hostname_lookup`), else the address.
pub(super) fn hostname(network: &NetworkSettings, ip: Ipv4Addr) -> String {
    if let Some(hostname) = &network.hostname {
        return hostname.clone();
    }
    if !network.hostname_lookup {
        return ip.to_string();
    }
    reverse(ip).unwrap_or_else(|| {
        tracing::warn!(%ip, "no name is known of the agent's address; it is called by the address");
        ip.to_string()
    })
}

/// What the system calls an address. Blocks for as long as its resolver takes.
fn reverse(ip: Ipv4Addr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&ip.into()).ok()?;
    // Who knows no name answers with the address.
    (name != ip.to_string()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_on_this_machine_has_a_name() {
        assert_eq!(reverse(Ipv4Addr::LOCALHOST).as_deref(), Some("localhost"));
    }
}
