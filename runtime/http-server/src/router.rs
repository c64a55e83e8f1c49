//! Finds the endpoint of a request by method and path.
//!
//! The tables have a dozen entries at most, so a linear search serves them as well as a crate with a radix tree would.

use http::{Method, Request};

/// A method and a path that lead to an endpoint. `{name}` in the path stands for one segment of any text.
#[derive(Debug)]
pub struct Route<E> {
    method: Method,
    path: &'static str,
    endpoint: E,
}

/// The endpoint of a request, with the values of the path's parameters.
#[derive(Debug)]
pub struct RouteMatch<'a, E> {
    pub endpoint: E,
    params: Vec<(&'static str, &'a str)>,
}

impl<E> Route<E> {
    pub const fn get(path: &'static str, endpoint: E) -> Self {
        Self { method: Method::GET, path, endpoint }
    }

    pub const fn post(path: &'static str, endpoint: E) -> Self {
        Self { method: Method::POST, path, endpoint }
    }

    fn params<'a>(&self, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
        let mut params = Vec::new();
        let mut actual = path.split('/');
        for expected in self.path.split('/') {
            let segment = actual.next()?;
            match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => params.push((name, segment)),
                None if expected == segment => {}
                None => return None,
            }
        }
        actual.next().is_none().then_some(params)
    }
}

impl<'a, E> RouteMatch<'a, E> {
    /// The value of `{name}`; empty if the route has no such parameter.
    pub fn param(&self, name: &str) -> &'a str {
        self.params.iter().find(|(param, _)| *param == name).map(|(_, value)| *value).unwrap_or_default()
    }
}

/// The first route that a request matches.
pub fn find_route<'a, E: Copy>(routes: &[Route<E>], request: &'a Request<()>) -> Option<RouteMatch<'a, E>> {
    routes.iter().filter(|route| route.method == request.method()).find_map(|route| {
        let params = route.params(request.uri().path())?;
        Some(RouteMatch { endpoint: route.endpoint, params })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Endpoint {
        List,
        Show,
        Renew,
    }

    const ROUTES: &[Route<Endpoint>] = &[
        Route::get("/v1/leases", Endpoint::List),
        Route::get("/v1/leases/{name}", Endpoint::Show),
        Route::post("/v1/leases/{name}/renew", Endpoint::Renew),
    ];

    fn found(method: Method, path: &str) -> Option<(Endpoint, String)> {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        find_route(ROUTES, &request).map(|found| (found.endpoint, found.param("name").to_owned()))
    }

    #[test]
    fn router_matches_method_and_whole_path() {
        assert_eq!(found(Method::GET, "/v1/leases"), Some((Endpoint::List, String::new())));
        assert_eq!(found(Method::GET, "/v1/leases/s3?wait=1s"), Some((Endpoint::Show, "s3".to_owned())));
        assert_eq!(found(Method::POST, "/v1/leases/s3/renew"), Some((Endpoint::Renew, "s3".to_owned())));
        for (method, path) in [
            (Method::POST, "/v1/leases"),
            (Method::GET, "/v1/leases/s3/renew"),
            (Method::POST, "/v1/leases/s3/renew/"),
            (Method::POST, "/v1/leases/a/b/renew"),
            (Method::GET, "/v1"),
            (Method::GET, "/"),
            (Method::GET, "/v2/leases"),
        ] {
            assert_eq!(found(method.clone(), path), None, "{method} {path}");
        }
    }

    #[test]
    fn router_takes_an_empty_segment_for_a_parameter() {
        assert_eq!(found(Method::GET, "/v1/leases/"), Some((Endpoint::Show, String::new())));
    }
}
