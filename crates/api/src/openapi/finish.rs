//! Parts of the OpenAPI document that many routes share.

use std::collections::BTreeSet;

use actix_web::http::Method;
use utoipa::{
    Modify,
    openapi::{
        Components, Content, Header, KnownFormat, Object, OpenApi as Document, Ref, RefOr,
        Required, Response, Schema, SchemaFormat, Type,
        path::{Operation, Parameter},
        schema::SchemaType,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use whoop_core::UserId;
use whoop_storage::service_key::Scope;

use super::examples;
use crate::scope;

/// Pattern for text without control characters, which are refused in ids.
const PRINTABLE: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

/// Operations with an optional request body.
const OPTIONAL_BODY_OPERATIONS: [&str; 2] = ["beginConnect", "syncNow"];

/// Description of the header `ETag`.
const ETAG: &str =
    "Version of the response. Send it in `If-None-Match` to get 304 while it is current.";

/// Tags of operations that are not for apps. They get `x-internal: true`, with which code
/// generators skip them.
const INTERNAL_TAGS: [&str; 2] = ["WHOOP", "Operations"];

pub(super) struct DocumentFinisher;

impl Modify for DocumentFinisher {
    fn modify(&self, document: &mut Document) {
        let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        scheme.description =
            Some("JWT of a member, which gives access to the data of this member only".to_owned());
        let mut key_scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        key_scheme.description = Some(
            "Service key, which gives access to the data of every member within its scopes: \
             `read`, `sync`, `erase`, `operate`. Each operation lists the scope that it needs."
                .to_owned(),
        );
        let request_schemas = request_schema_names(document);
        let components = document.components.get_or_insert_default();
        require_nullable_fields(components, &request_schemas);
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
                examples::add_example(operation);
                if let Some(scope) = scope::scope_of_route(&method, pattern) {
                    add_scope(operation, scope);
                }
            }
        }
    }
}

/// Returns the names of the schemas of request bodies.
fn request_schema_names(document: &Document) -> BTreeSet<String> {
    let items = document.paths.paths.values();
    let operations = items.flat_map(|item| [&item.get, &item.post, &item.put, &item.patch]);
    let bodies = operations
        .flatten()
        .filter_map(|operation| match &operation.request_body {
            Some(RefOr::T(body)) => Some(body),
            Some(RefOr::Ref(_)) | None => None,
        });
    let contents =
        bodies
            .flat_map(|body| body.content.values())
            .filter_map(|content| match content {
                RefOr::T(content) => content.schema.as_ref(),
                RefOr::Ref(_) => None,
            });
    contents
        .filter_map(|schema| match schema {
            RefOr::Ref(reference) => reference.ref_location.rsplit('/').next(),
            RefOr::T(_) => None,
        })
        .map(str::to_owned)
        .collect()
}

/// Makes each nullable field of a response required: a field of a response is either always present
/// or, if it can be absent, never null. A field of a request body may be omitted.
fn require_nullable_fields(components: &mut Components, request_schemas: &BTreeSet<String>) {
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::Object(object)) = schema else {
            continue;
        };
        if request_schemas.contains(name) {
            continue;
        }
        for (field, property) in &object.properties {
            if is_nullable(property) && !object.required.contains(field) {
                object.required.push(field.clone());
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
    let mut tags = operation.tags.iter().flatten();
    if tags.any(|tag| INTERNAL_TAGS.contains(&tag.as_str())) {
        let extensions = operation.extensions.get_or_insert_default();
        extensions.insert("x-internal".to_owned(), true.into());
    }
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
        let encoded = || {
            problem_response("The body is encoded; send it without the header `Content-Encoding`")
        };
        responses.entry("415".to_owned()).or_insert_with(encoded);
    }
    if is_guarded {
        // The rate limit applies to all of a member's requests together.
        let responses = &mut operation.responses.responses;
        let too_many_requests =
            || problem_response("Too many requests of this member; see `Retry-After`");
        responses
            .entry("429".to_owned())
            .or_insert_with(too_many_requests);
    }
    let has_versions = operation.responses.responses.contains_key("304");
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut add = |name: &str, header: Header| {
            response.headers.insert(name.to_owned(), header.into());
        };
        add(
            "X-Request-Id",
            text_header("Id of the request, which is also in the log of the service"),
        );
        match status.as_str() {
            "200" | "304" if has_versions => add("ETag", text_header(ETAG)),
            "202" => add("Location", text_header("Path of the member's sync status")),
            "303" => add(
                "Location",
                text_header("Address of the app to continue with"),
            ),
            "401" if is_guarded => add("WWW-Authenticate", text_header("Always `Bearer`")),
            "429" | "503" => add("Retry-After", seconds_header()),
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

fn is_nullable(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => accepts_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => accepts_null(&array.schema_type),
        RefOr::T(Schema::OneOf(choice)) => choice.items.iter().any(is_null),
        RefOr::T(_) | RefOr::Ref(_) => false,
    }
}

fn accepts_null(schema_type: &SchemaType) -> bool {
    matches!(schema_type, SchemaType::Array(types) if types.contains(&Type::Null))
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
    header.description = Some("Seconds to wait before the next attempt".to_owned());
    header
}
