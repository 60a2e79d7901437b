//! The operations as their handlers declare them: the methods of each path, and the query that each operation takes.

use poem::{Request, http::Method};
use poem_openapi::{
    OpenApi,
    registry::{MetaOperation, Registry},
};

use super::query::Parameters;
use crate::http::ApiResult;

pub struct Operations(Vec<Operation>);

struct Operation {
    /// A template, such as `/users/{id}`.
    path: String,
    method: Method,
    needs_token: bool,
    parameters: Parameters,
}

impl Operations {
    /// The operations of an API.
    pub fn of<T: OpenApi>() -> Self {
        let mut registry = Registry::new();
        T::register(&mut registry);
        let paths = T::meta().into_iter().flat_map(|api| api.paths);
        let operations = paths.flat_map(|path| {
            let operations = path.operations.into_iter();
            let operation = |operation: MetaOperation| Operation {
                path: path.path.clone(),
                needs_token: needs_token(&operation),
                parameters: Parameters::of(&operation, &registry),
                method: operation.method,
            };
            operations.map(operation).collect::<Vec<_>>()
        });
        Self(operations.collect())
    }

    /// The methods of a path, for the header `Allow`.
    pub fn methods(&self, path: &str) -> Vec<String> {
        let operations = self.0.iter().filter(|operation| matches(&operation.path, path));
        let mut methods: Vec<_> = operations.map(|operation| operation.method.to_string()).collect();
        if methods.iter().any(|method| method == Method::GET.as_str()) {
            methods.push(Method::HEAD.to_string());
        }
        methods.sort();
        methods
    }

    /// Checks the query of a request, after the caller's access token and rights: what is wrong with a request is told to
    /// authorized callers only.
    ///
    /// # Errors
    /// `malformed_request`, which names every parameter that is unknown, repeated, or breaks its rule.
    pub fn check_query(&self, request: &Request) -> ApiResult<()> {
        self.check(request, |_| true)
    }

    /// Checks the query of a request to an operation that needs no access token.
    ///
    /// # Errors
    /// As for [`Self::check_query`].
    pub fn check_public_query(&self, request: &Request) -> ApiResult<()> {
        self.check(request, |operation| !operation.needs_token)
    }

    fn check(&self, request: &Request, applies: impl Fn(&Operation) -> bool) -> ApiResult<()> {
        let Some(query) = request.uri().query() else { return Ok(()) };
        let operation = self.find(request).filter(|operation| applies(operation));
        operation.map_or(Ok(()), |operation| operation.parameters.check(query))
    }

    fn find(&self, request: &Request) -> Option<&Operation> {
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let path = request.uri().path();
        self.0.iter().find(|operation| operation.method == *method && matches(&operation.path, path))
    }
}

/// A token is optional where an empty requirement is among the alternatives.
fn needs_token(operation: &MetaOperation) -> bool {
    !operation.security.is_empty() && operation.security.iter().all(|requirement| !requirement.is_empty())
}

fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}
