//! The table of pages: what the listener for administrators answers to `GET` by itself, and to whom.
//!
//! A row is all that a page needs: it is served, guarded and described from here.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse};
use futures::future::LocalBoxFuture;

use super::actors::Actors;
use super::cache::Cache;
use super::spend::{self, Spend};
use super::{Admin, documents};
use crate::envelope::Failure;
use crate::openapi::{Access, Page, ok, probe, verbose};
use crate::operation::Operation;
use crate::pipeline::own;
use crate::server::status::{self, Health, ModelStatus};

/// A page, and who makes it.
pub(super) struct Row {
    pub(super) page: Page,
    pub(super) serve: fn(Rc<Admin>, HttpRequest) -> LocalBoxFuture<'static, Result<HttpResponse, Failure>>,
}

/// Every page.
pub(super) const PAGES: &[Row] = &[
    Row {
        page: Page {
            path: "/livez",
            id: "livez",
            tag: "probes",
            summary: "Is the process up?",
            access: Access::Public,
            parameters: || vec![verbose()],
            answers: |_| probe("It is up."),
        },
        serve: |admin, request| Box::pin(async move { Ok(probed(&admin, Operation::Livez, &request)) }),
    },
    Row {
        page: Page {
            path: "/readyz",
            id: "readyz",
            tag: "probes",
            summary: "May traffic be sent here?",
            access: Access::Public,
            parameters: || vec![verbose()],
            answers: |_| probe("It may."),
        },
        serve: |admin, request| Box::pin(async move { Ok(probed(&admin, Operation::Readyz, &request)) }),
    },
    Row {
        page: Page {
            path: "/admin/v1/actors",
            id: "actors",
            tag: "status",
            summary: "What the five actors hold and have counted, and how many exchanges are open.",
            access: Access::Administrator,
            parameters: Vec::new,
            answers: |schemas| vec![ok::<Actors>(schemas, "The counters.")],
        },
        serve: |admin, _| {
            Box::pin(async move { Ok(HttpResponse::Ok().json(Actors::inspect(&admin.worker).await)) })
        },
    },
    Row {
        page: Page {
            path: "/admin/v1/cache",
            id: "cache",
            tag: "status",
            summary: "What the response cache of this gateway holds and has done.",
            access: Access::Administrator,
            parameters: Vec::new,
            answers: |schemas| vec![ok::<Cache>(schemas, "The counters.")],
        },
        serve: |admin, _| Box::pin(async move { Ok(HttpResponse::Ok().json(Cache::inspect(&admin.worker))) }),
    },
    Row {
        page: Page {
            path: "/admin/v1/health",
            id: "health",
            tag: "status",
            summary: "How the models stand, in one word and one by one.",
            access: Access::Administrator,
            parameters: Vec::new,
            answers: |schemas| vec![ok::<Health<'_>>(schemas, "How they stand.")],
        },
        serve: |admin, _| Box::pin(async move { Ok(status::health(&admin.worker.gateway)) }),
    },
    Row {
        page: Page {
            path: "/admin/v1/models/status",
            id: "models_status",
            tag: "status",
            summary: "Where every model stands, and why.",
            access: Access::Administrator,
            parameters: Vec::new,
            answers: |schemas| vec![ok::<Vec<ModelStatus<'_>>>(schemas, "Every model.")],
        },
        serve: |admin, _| Box::pin(async move { Ok(status::models(&admin.worker.gateway)) }),
    },
    Row {
        page: Page {
            path: "/admin/v1/spend",
            id: "spend",
            tag: "status",
            summary: "What is spent and held of every budget, and when its period begins anew.",
            access: Access::Administrator,
            parameters: spend::filters,
            answers: |schemas| vec![ok::<Spend<'_>>(schemas, "The budgets.")],
        },
        serve: |admin, request| Box::pin(async move { spend::answer(&admin.worker, &request).await }),
    },
    Row {
        page: Page {
            path: "/admin/openapi.json",
            id: "document_admin",
            tag: "documents",
            summary: "This document.",
            access: Access::Public,
            parameters: documents::if_none_match,
            answers: |_| documents::document(),
        },
        serve: |admin, request| Box::pin(async move { Ok(admin.documents().admin.answer(&request)) }),
    },
    Row {
        page: Page {
            path: "/admin/openapi-proxy.json",
            id: "document_proxy",
            tag: "documents",
            summary: "The document of the proxy.",
            access: Access::Public,
            parameters: documents::if_none_match,
            answers: |_| documents::document(),
        },
        serve: |admin, request| Box::pin(async move { Ok(admin.documents().proxy.answer(&request)) }),
    },
    Row {
        page: Page {
            path: "/admin/openapi-scalar",
            id: "viewer",
            tag: "documents",
            summary: "A viewer of both documents, which needs no network.",
            access: Access::Public,
            parameters: documents::if_none_match,
            answers: |_| documents::page(),
        },
        serve: |admin, request| Box::pin(async move { Ok(admin.documents().page.answer(&request)) }),
    },
    Row {
        page: Page {
            path: "/admin/openapi-scalar/start.js",
            id: "viewer_start",
            tag: "documents",
            summary: "What the page tells the viewer.",
            access: Access::Public,
            parameters: documents::if_none_match,
            answers: |_| documents::script(),
        },
        serve: |admin, request| Box::pin(async move { Ok(admin.documents().start.answer(&request)) }),
    },
    Row {
        page: Page {
            path: "/admin/openapi-scalar/scalar.js",
            id: "viewer_script",
            tag: "documents",
            summary: "The viewer itself.",
            access: Access::Public,
            parameters: documents::if_none_match,
            answers: |_| documents::script(),
        },
        serve: |admin, request| Box::pin(async move { Ok(admin.documents().viewer.answer(&request)) }),
    },
];

fn probed(admin: &Admin, operation: Operation, request: &HttpRequest) -> HttpResponse {
    own::probe(operation, &admin.worker.gateway, own::is_verbose(request))
}
