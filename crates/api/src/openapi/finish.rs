//! Adds to the generated OpenAPI document the parts that many routes share, such as security
//! schemes, headers and common errors.

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

/// Regular expression for user ids: text without control characters, which the API refuses.
const PRINTABLE: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

/// Ids of the operations that have an optional request body.
const OPTIONAL_BODY_OPERATIONS: [&str; 2] = ["beginConnect", "syncNow"];

/// Description of the response header `ETag`.
const ETAG: &str =
    "Version of the response. Send it in `If-None-Match` to get 304 while it is current.";

/// Tags of operations that are not for apps. These operations get `x-internal: true`, so that code
/// generators can skip them.
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

/// Returns the names of the schemas that describe request bodies.
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

/// Marks each nullable field of a response as required.
///
/// A field of a response that can be null is always present, and a field that can be absent is
/// never null. A nullable field of a request body may be omitted, so the schemas in
/// `request_schemas` are not changed.
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

/// Adds to an operation the scope that a service key needs for it. An operation without
/// authentication is not changed.
fn add_scope(operation: &mut Operation, scope: Scope) {
    let security = operation.security.get_or_insert_default();
    if security.is_empty() {
        return;
    }
    if scope == Scope::Operate {
        // A member's token gives no access to the operator's routes, so only the service key
        // remains.
        security.clear();
    }
    security.push(SecurityRequirement::new("serviceKey", [scope.as_str()]));
    if let Some(RefOr::T(refusal)) = operation.responses.responses.get_mut("403") {
        let lacks = format!(", or the service key lacks the scope `{scope}`");
        refusal.description.push_str(&lacks);
    }
}

fn finish_operation(operation: &mut Operation) {
    // A public operation gets an empty list of security requirements. An absent list would not
    // declare that the operation is public.
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
        // The rate limit applies to all requests of a member together, so each of these operations
        // can be refused with 429.
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

/// Returns the description of a response that has a problem (`application/problem+json`) in its
/// body.
fn problem_response(description: &str) -> RefOr<Response> {
    let mut response = Response::new(description);
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let content_type = "application/problem+json".to_owned();
    response.content.insert(content_type, content.into());
    RefOr::T(response)
}

/// Removes `null` from the schema of a parameter, because a parameter is either present or absent.
/// Also adds the limits of the parameter `user_id`.
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
