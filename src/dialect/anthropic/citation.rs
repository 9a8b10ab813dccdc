//! Where statements come from: pages of a search, and places in documents that the caller sent.

use super::super::chat::Citation;
use super::super::json::Writer;
use super::super::json::shape::Json;
use super::answer::text_or_null;
use super::wire::CitationBlock;

/// Reads one; `None` where it is of another shape.
pub(super) fn read(raw: Json<'_>) -> Option<Citation<'_>> {
    let block: CitationBlock<'_> = serde_json::from_str(raw.0).ok()?;
    Some(Citation {
        url: block.url.or(block.source),
        title: block.title.or(block.document_title),
        quote: block.cited_text,
        place: None,
    })
}

/// Reads the list of a block of text.
pub(super) fn read_all(raw: Option<Json<'_>>) -> Vec<Citation<'_>> {
    let raws = raw.and_then(|raw| serde_json::from_str::<Vec<Json<'_>>>(raw.0).ok());
    raws.unwrap_or_default().into_iter().filter_map(read).collect()
}

/// Writes one: of a page where it has an address, else of the caller's document.
///
/// Clients insist on every member of either form; what another provider does not say is empty.
pub(super) fn write(writer: &mut Writer<'_>, citation: &Citation<'_>) {
    writer.object(|w| {
        let title = citation.title.as_ref();
        let quote = citation.quote.clone().unwrap_or_default();
        match &citation.url {
            Some(url) => {
                w.name("type").string("web_search_result_location");
                w.name("cited_text").text(&quote);
                w.name("url").text(url);
                text_or_null(w.name("title"), title);
                w.name("encrypted_index").string("");
            }
            None => {
                w.name("type").string("char_location");
                w.name("cited_text").text(&quote);
                w.name("document_index").number(0);
                text_or_null(w.name("document_title"), title);
                w.name("start_char_index").number(0);
                w.name("end_char_index").number(quote.decode().chars().count() as u64);
            }
        }
    });
}
