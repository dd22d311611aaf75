//! Owns the answer to a CRAM-MD5 challenge (RFC 2195).

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

use super::credential::Credential;

/// The name of the mechanism.
pub(super) const MECHANISM: &str = "CRAM-MD5";

/// The answer to a challenge: the principal, a space, and the HMAC-MD5 of the challenge with the secret as key, in
/// lower-case hexadecimal digits.
pub(super) fn answer(credential: &Credential, challenge: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
    let mut hmac = Hmac::<Md5>::new_from_slice(credential.secret()).expect("a key of any length");
    hmac.update(challenge);
    let mut answer = credential.principal().as_bytes().to_owned();
    answer.push(b' ');
    for byte in hmac.finalize().into_bytes() {
        answer.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stock agent was recorded to answer a stock master.
    #[test]
    fn the_answer_is_that_of_a_stock_agent() {
        let credential = Credential::new("agent1", "s3cret");
        assert_eq!(answer(&credential, b"<3394046030.92898@vm>"), b"agent1 a06c0a61a0f7417bf9895083565f2307");
    }

    /// The example of RFC 2195.
    #[test]
    fn the_answer_is_that_of_the_standard() {
        let credential = Credential::new("tim", "tanstaaftanstaaf");
        let answer = answer(&credential, b"<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(answer, b"tim b913a602c7eda7a495b4e6e7334d3890");
    }
}
