//! Placeholder.
#![allow(missing_docs, clippy::all, unused)]
use crate::dialect::Usage;
use crate::dialect::chat::*;
use crate::dialect::raw::RawObject;
use crate::error::*;
use bytes::BytesMut;
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
