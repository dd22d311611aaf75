//! Owns what a leading master says of itself.

use std::net::{Ipv4Addr, SocketAddrV4};

use libprocess::{ProcessId, Upid};
use mesos_proto::json::{JsonError, from_json_skipping};
use mesos_proto::{Message as _, v1};
use thiserror::Error;

use super::members::Label;

/// A leading master.
#[derive(Clone, Debug, PartialEq)]
pub struct Leader {
    /// What it says of itself; its `pid` is set.
    pub info: v1::MasterInfo,
    /// Its address.
    pub upid: Upid,
}

/// Why what a master says of itself cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeaderError {
    /// The node's label is not one of stock's.
    #[error("its label {0:?} is unknown")]
    Label(String),
    /// It is no text.
    #[error("it is no text")]
    Text(#[from] std::str::Utf8Error),
    /// It is no JSON.
    #[error("it is no JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but no MasterInfo.
    #[error("it is no MasterInfo")]
    Json(#[from] JsonError),
    /// It is no MasterInfo as protobuf.
    #[error("it is no MasterInfo")]
    Binary(#[from] prost::DecodeError),
    /// Its address cannot be read.
    #[error("the master's address cannot be read")]
    Address(#[from] libprocess::UpidError),
    /// It has no port.
    #[error("it names no port of the master")]
    NoPort,
}

impl Leader {
    /// Reads the data of a member's node.
    ///
    /// # Errors
    ///
    /// It is not what the label says.
    pub(super) fn read(label: &Label, data: &[u8]) -> Result<Self, LeaderError> {
        let info = match label {
            Label::Json => {
                let json = serde_json::from_slice(data)?;
                // A newer master may say more.
                from_json_skipping::<v1::MasterInfo>(json)?.0
            }
            Label::Binary => v1::MasterInfo::decode(data)?,
            Label::Upid => return Ok(Self::standalone(str::from_utf8(data)?.trim().parse()?)),
            Label::Unknown(label) => return Err(LeaderError::Label(label.clone())),
        };
        Self::of(info)
    }

    /// A master of which nothing but the address is known, as stock's `protobuf::createMasterInfo`.
    pub(super) fn standalone(upid: Upid) -> Self {
        let address = upid.address();
        let info = v1::MasterInfo {
            id: String::new(),
            // The bytes of the address as they are on the wire, read as a number of this host.
            ip: u32::from_ne_bytes(address.ip().octets()),
            port: address.port().into(),
            pid: Some(upid.to_string()),
            hostname: Some(address.ip().to_string()),
            ..Default::default()
        };
        Self { info, upid }
    }

    fn of(mut info: v1::MasterInfo) -> Result<Self, LeaderError> {
        let upid = match &info.pid {
            Some(pid) => pid.parse()?,
            // Masters before 0.20 name only address and port.
            None => {
                let ip = Ipv4Addr::from(info.ip.to_ne_bytes());
                let port = u16::try_from(info.port).map_err(|_| LeaderError::NoPort)?;
                Upid::new(ProcessId::new("master")?, SocketAddrV4::new(ip, port))
            }
        };
        if upid.address().port() == 0 {
            return Err(LeaderError::NoPort);
        }
        info.pid = Some(upid.to_string());
        Ok(Self { info, upid })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What a stock 1.11.0 master writes.
    const STOCK: &str = r#"{"address":{"hostname":"m.example","ip":"10.0.0.5","port":5050},
        "capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],
        "hostname":"m.example","id":"5c2ff48b-9c1b-4a1a-8f5c-2a3f7d0a1b2c","ip":83886090,
        "pid":"master@10.0.0.5:5050","port":5050,"version":"1.11.0"}"#;

    #[test]
    fn what_a_stock_master_writes_is_read() {
        let leader = Leader::read(&Label::Json, STOCK.as_bytes()).unwrap();
        assert_eq!(leader.upid.to_string(), "master@10.0.0.5:5050");
        assert_eq!(leader.info.version.as_deref(), Some("1.11.0"));
        assert_eq!(leader.info.capabilities.len(), 3);
        let again = Leader::read(&Label::Binary, &leader.info.encode_to_vec()).unwrap();
        assert_eq!(again, leader);
    }

    #[test]
    fn a_newer_master_may_say_more() {
        let more = STOCK.replacen('{', r#"{"mood":"good","#, 1);
        let leader = Leader::read(&Label::Json, more.as_bytes()).unwrap();
        assert_eq!(leader.upid.to_string(), "master@10.0.0.5:5050");
    }

    #[test]
    fn the_old_forms_are_read() {
        let leader = Leader::read(&Label::Upid, b"master@10.0.0.5:5050\n").unwrap();
        assert_eq!(leader.upid.to_string(), "master@10.0.0.5:5050");
        assert_eq!(leader.info.ip.to_ne_bytes(), [10, 0, 0, 5]);
        let without_pid = v1::MasterInfo { pid: None, ..leader.info.clone() };
        let again = Leader::read(&Label::Binary, &without_pid.encode_to_vec()).unwrap();
        assert_eq!(again.upid, leader.upid);
        assert_eq!(again.info.pid.as_deref(), Some("master@10.0.0.5:5050"));
    }

    #[rstest]
    #[case::unknown(Label::Unknown("x".into()), b"")]
    #[case::no_json(Label::Json, b"{")]
    #[case::other_json(Label::Json, b"[]")]
    #[case::bad_pid(Label::Json, br#"{"id":"x","ip":1,"port":1,"pid":"nobody"}"#)]
    #[case::no_port(Label::Json, br#"{"id":"x","ip":1,"port":0}"#)]
    #[case::no_protobuf(Label::Binary, b"\xff")]
    #[case::no_upid(Label::Upid, b"\xff")]
    fn what_cannot_be_read_is_refused(#[case] label: Label, #[case] data: &[u8]) {
        Leader::read(&label, data).unwrap_err();
    }
}
