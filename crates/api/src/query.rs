//! Refuses query parameters that the description of a route does not contain.
//!
//! If an unknown parameter were ignored, a misspelled one would seem to work: `?dat=2025-01-20`
//! would return the data of today.

use std::{collections::HashMap, sync::LazyLock};

use actix_web::{HttpRequest, http::Method};
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::{openapi, parameters::shortened, problem::Problem};

/// Minimum similarity between an unknown parameter and the name that the error suggests instead; 1
/// means equal.
const MIN_SIMILARITY: f64 = 0.7;

type ParameterNames = Vec<String>;

/// Names of the query parameters of each route pattern and method, taken from the OpenAPI document.
static KNOWN_PARAMETERS: LazyLock<HashMap<(String, Method), ParameterNames>> =
    LazyLock::new(|| {
        let document = openapi::openapi_document();
        let operations = document.paths.paths.into_iter().flat_map(|(path, item)| {
            [
                (Method::GET, item.get),
                (Method::POST, item.post),
                (Method::DELETE, item.delete),
            ]
            .into_iter()
            .filter_map(move |(method, operation)| Some(((path.clone(), method), operation?)))
        });
        operations
            .map(|(route, operation)| (route, query_parameter_names(&operation)))
            .collect()
    });

fn query_parameter_names(operation: &Operation) -> ParameterNames {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            utoipa::openapi::RefOr::T(parameter) => Some(parameter),
            utoipa::openapi::RefOr::Ref(_) => None,
        })
        .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Refuses a request with a query parameter that its route does not have.
///
/// # Errors
///
/// Returns the problem `unknown-parameter`. It suggests the parameter of the route with the most
/// similar name, or lists all parameters of the route.
pub(crate) fn refuse_unknown_parameters(request: &HttpRequest) -> Result<(), Problem> {
    let query = request.query_string();
    if query.is_empty() {
        return Ok(());
    }
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref other => other.clone(),
    };
    let route = (request.match_pattern().unwrap_or_default(), method);
    let known = KNOWN_PARAMETERS
        .get(&route)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        if !known.iter().any(|one| *one == name) {
            return Err(unknown_parameter(&name, known));
        }
    }
    Ok(())
}

fn unknown_parameter(name: &str, known: &[String]) -> Problem {
    let similarity = |one: &&String| strsim::jaro_winkler(&name.to_lowercase(), one);
    let nearest = known
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|one| similarity(one) >= MIN_SIMILARITY);
    let name = shortened(name, 40);
    let hint = match (nearest, known) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, []) => "it has no query parameters".to_owned(),
        (None, known) => format!("its query parameters are {}", known.join(", ")),
    };
    Problem::invalid(
        "unknown-parameter",
        name.clone(),
        format!("this route has no query parameter {name:?}; {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(name: &str) -> String {
        let known = ["date", "refresh"].map(str::to_owned);
        unknown_parameter(name, &known).to_string()
    }

    #[test]
    fn a_misspelled_parameter_is_answered_with_the_most_similar_name() {
        for misspelled in ["dat", "Date", "datte", "day_te"] {
            assert!(
                hint(misspelled).contains("did you mean `date`?"),
                "{}",
                hint(misspelled)
            );
        }
        assert!(hint("refesh").contains("did you mean `refresh`?"));
        assert!(hint("limit").contains("its query parameters are date, refresh"));
    }

    #[test]
    fn the_parameters_of_a_documented_route_are_known() {
        let route = ("/api/v1/whoop/daily-data/{user_id}".to_owned(), Method::GET);
        assert_eq!(KNOWN_PARAMETERS[&route], ["date", "refresh"]);
    }
}
