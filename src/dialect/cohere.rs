//! Placeholder while the codec is being written.
#![allow(missing_docs, clippy::all, unused)]
use crate::dialect::chat::*;
use crate::dialect::raw::RawObject;
use crate::error::*;
use bytes::BytesMut;
pub fn write_request(_c: &Conversation<'_>, _m: &str, _d: &mut Dropped, _o: &mut BytesMut) {}
pub fn read_reply<'a>(_b: &'a str) -> Result<Reply<'a>, UpstreamError> {
    Err(UpstreamError::BrokeOff)
}
pub fn read_error(_s: u16, _b: &[u8]) -> UpstreamRefusal {
    Default::default()
}
#[derive(Debug, Default)]
pub struct StreamReader;
impl StreamReader {
    pub fn read<'d>(&mut self, _e: Option<&[u8]>, _d: &'d str) -> Result<Events<'d>, StreamFault> {
        Err(StreamFault::Malformed)
    }
}
pub mod embed {
    use super::*;
    use crate::dialect::Usage;
    pub fn write_request(
        _b: &RawObject,
        _m: &str,
        _d: &mut Dropped,
        _o: &mut BytesMut,
    ) -> Result<(), RequestError> {
        Ok(())
    }
    pub fn read_reply(_b: &str, _m: &str, _o: &mut BytesMut) -> Result<Option<Usage>, UpstreamError> {
        Ok(None)
    }
}
