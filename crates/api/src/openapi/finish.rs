//! Parts of the OpenAPI document that many routes share.

use actix_web::http::Method;
use utoipa::{
    Modify,
    openapi::{
        Content, Header, KnownFormat, Object, OpenApi as Document, Ref, RefOr, Required, Response,
        Schema, SchemaFormat, Type,
        path::{Operation, Parameter},
        schema::SchemaType,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use whoop_core::UserId;
use whoop_storage::service_key::Scope;

use crate::scope;

/// Pattern for text without control characters, which are refused in ids.
const PRINTABLE: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

/// Operations with an optional request body.
const OPTIONAL_BODY_OPERATIONS: [&str; 2] = ["beginConnect", "syncNow"];

pub(super) struct DocumentFinisher;

impl Modify for DocumentFinisher {
    fn modify(&self, document: &mut Document) {
        let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        scheme.description =
            Some("The member's own JWT, which opens the member's own data".to_owned());
        let mut key_scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        key_scheme.description = Some(
            "A service key, which may act for any member as far as its scopes go: `read`, `sync`, \
             `erase`, `operate`. Each operation names the scope that it needs."
                .to_owned(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        components.add_security_scheme("serviceKey", SecurityScheme::Http(key_scheme));
        for (pattern, path) in &mut document.paths.paths {
            let operations = [
                (Method::GET, &mut path.get),
                (Method::POST, &mut path.post),
                (Method::PUT, &mut path.put),
                (Method::PATCH, &mut path.patch),
                (Method::DELETE, &mut path.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else {
                    continue;
                };
                finish_operation(operation);
                if let Some(scope) = scope::scope_of_route(&method, pattern) {
                    add_scope(operation, scope);
                }
            }
        }
    }
}

/// Adds the scope that a service key needs, if the operation requires authentication.
fn add_scope(operation: &mut Operation, scope: Scope) {
    let security = operation.security.get_or_insert_default();
    if security.is_empty() {
        return;
    }
    if scope == Scope::Operate {
        // A member's token gives no access to these operations.
        security.clear();
    }
    security.push(SecurityRequirement::new("serviceKey", [scope.as_str()]));
    if let Some(RefOr::T(refusal)) = operation.responses.responses.get_mut("403") {
        let lacks = format!(", or the service key lacks the scope `{scope}`");
        refusal.description.push_str(&lacks);
    }
}

fn finish_operation(operation: &mut Operation) {
    // A public operation gets an empty list, because an absent list does not declare that it is
    // public.
    let is_guarded = !operation.security.get_or_insert_default().is_empty();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            narrow_parameter(parameter);
        }
    }
    let is_optional = operation
        .operation_id
        .as_deref()
        .is_some_and(|id| OPTIONAL_BODY_OPERATIONS.contains(&id));
    if let (true, Some(RefOr::T(body))) = (is_optional, &mut operation.request_body) {
        body.required = Some(Required::False);
    }
    if operation.request_body.is_some() {
        let responses = &mut operation.responses.responses;
        let encoded = || problem_response("The body is encoded; send it without Content-Encoding");
        responses.entry("415".to_owned()).or_insert_with(encoded);
    }
    if is_guarded {
        // The rate limit applies to all of a member's requests together.
        let responses = &mut operation.responses.responses;
        let asked_too_often =
            || problem_response("Too many requests of this member; see Retry-After");
        responses
            .entry("429".to_owned())
            .or_insert_with(asked_too_often);
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut add = |name: &str, header: Header| {
            response.headers.insert(name.to_owned(), header.into());
        };
        add(
            "X-Request-Id",
            text_header("The request's id, as the log has it"),
        );
        match status.as_str() {
            "429" | "503" => add("Retry-After", seconds_header()),
            "401" if is_guarded => add("WWW-Authenticate", text_header("`Bearer`")),
            "202" | "303" => add("Location", text_header("Where to go on")),
            _ => (),
        }
    }
}

/// Returns a response with a problem in its body.
fn problem_response(description: &str) -> RefOr<Response> {
    let mut response = Response::new(description);
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let content_type = "application/problem+json".to_owned();
    response.content.insert(content_type, content.into());
    RefOr::T(response)
}

/// Removes `null` from a parameter's schema: a parameter is either present or absent.
fn narrow_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(schema)) = &mut parameter.schema else {
        return;
    };
    if let Schema::OneOf(choice) = schema {
        choice.items.retain(|one| !is_null(one));
        if let [only] = choice.items.as_slice() {
            parameter.schema = Some(only.clone());
        }
        return;
    }
    let Schema::Object(object) = schema else {
        return;
    };
    if let SchemaType::Array(types) = &object.schema_type {
        let known: Vec<Type> = types
            .iter()
            .filter(|one| **one != Type::Null)
            .cloned()
            .collect();
        if let [only] = known.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
    if parameter.name == "user_id" {
        object.min_length = Some(1);
        object.max_length = Some(UserId::MAX_CHARS);
        object.pattern = Some(PRINTABLE.to_owned());
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(
        schema,
        RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null)
    )
}

fn text_header(description: &str) -> Header {
    let mut header = Header::new(Schema::Object(Object::with_type(Type::String)));
    header.description = Some(description.to_owned());
    header
}

fn seconds_header() -> Header {
    let mut object = Object::with_type(Type::Integer);
    object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
    let mut header = Header::new(Schema::Object(object));
    header.description = Some("Seconds until it is worth trying again".to_owned());
    header
}
