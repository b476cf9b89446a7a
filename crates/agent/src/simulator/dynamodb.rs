//! DynamoDB, as much of it as it takes to put an item and get it back, in its JSON protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::admission::Caller;
use super::answer::{Answer, Document};
use super::message::{ApiError, Request};
use super::state::Simulator;

/// What the action's name stands behind in `X-Amz-Target`.
pub(super) const TARGET: &str = "DynamoDB_20120810.";

/// The tables of an account.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(BTreeMap<String, Table>);

#[derive(Clone, Debug)]
struct Table {
    /// As `DescribeTable` tells it.
    description: Map<String, Value>,
    /// The attributes that make the key.
    key: Vec<String>,
    /// By the key's values, as JSON.
    items: BTreeMap<String, Value>,
}

impl Table {
    /// What an item is found by.
    fn key_of(&self, item: &Value) -> Result<String, ApiError> {
        let values: Option<Vec<&Value>> = self.key.iter().map(|name| item.get(name)).collect();
        let values = values.ok_or_else(|| {
            invalid("One or more parameter values were invalid: Missing the key in the item")
        })?;
        Ok(json!(values).to_string())
    }
}

impl Simulator {
    pub(super) fn dynamodb(
        &mut self,
        caller: &Caller,
        request: &Request,
        order: &Value,
    ) -> Result<Answer, ApiError> {
        let action = request.action.as_str();
        let name = order["TableName"].as_str().unwrap_or_default().to_owned();
        let (partition, account) = (&self.behaviour.partition, &self.behaviour.account_id);
        let arn = format!("arn:{partition}:dynamodb:{}:{account}:table/{name}", request.region());
        self.authorize_data(caller, &format!("dynamodb:{action}"), &arn)
            .map_err(|denied| ApiError::new(400, "AccessDeniedException", denied.message))?;
        let tables = &mut Arc::make_mut(&mut self.dynamodb).0;
        let answer = match action {
            "ListTables" => json!({ "TableNames": tables.keys().collect::<Vec<_>>() }),
            "CreateTable" => create(tables, order, &name, &arn)?,
            "DescribeTable" => json!({ "Table": table(tables, &name)?.description }),
            "PutItem" => {
                let table = table(tables, &name)?;
                let key = table.key_of(&order["Item"])?;
                if !order["ConditionExpression"].is_null() {
                    return Err(invalid("The simulator knows no ConditionExpression"));
                }
                table.items.insert(key, order["Item"].clone());
                json!({})
            }
            "GetItem" => {
                let table = table(tables, &name)?;
                let item = table.items.get(&table.key_of(&order["Key"])?);
                item.map_or_else(|| json!({}), |item| json!({ "Item": item }))
            }
            _ => return Err(ApiError::new(400, "UnknownOperationException", "")),
        };
        Ok(Document::json(&answer).into())
    }
}

fn create(
    tables: &mut BTreeMap<String, Table>,
    order: &Value,
    name: &str,
    arn: &str,
) -> Result<Value, ApiError> {
    let attributes = order["KeySchema"].as_array().into_iter().flatten();
    let key: Vec<String> = attributes
        .filter_map(|attribute| attribute["AttributeName"].as_str().map(str::to_owned))
        .collect();
    if name.is_empty() || key.is_empty() {
        return Err(invalid("TableName and KeySchema are required"));
    }
    if tables.contains_key(name) {
        let message = format!("Table already exists: {name}");
        return Err(ApiError::new(400, "ResourceInUseException", message));
    }
    let mut description = Map::new();
    for member in ["TableName", "KeySchema", "AttributeDefinitions"] {
        description.insert(member.to_owned(), order[member].clone());
    }
    description.insert("TableStatus".to_owned(), json!("ACTIVE"));
    description.insert("TableArn".to_owned(), json!(arn));
    let table = Table { description: description.clone(), key, items: BTreeMap::new() };
    tables.insert(name.to_owned(), table);
    Ok(json!({ "TableDescription": description }))
}

fn table<'a>(
    tables: &'a mut BTreeMap<String, Table>,
    name: &str,
) -> Result<&'a mut Table, ApiError> {
    tables.get_mut(name).ok_or_else(|| {
        ApiError::new(400, "ResourceNotFoundException", "Requested resource not found")
    })
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}
