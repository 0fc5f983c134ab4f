package webhook

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/web/answer"
)

type object = map[string]any

var notInName = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// openAPI describes the handler's routes, with the schemas of its types.
func openAPI(types []answer.Type, failureSchema, detailsSchema json.RawMessage) (json.RawMessage, error) {
	schemas := object{
		"State":   stateSchema(),
		"Problem": problemSchema(),
		"Failure": failureSchema,
		"Details": detailsSchema,
	}
	var results []any
	for _, t := range types {
		name := componentName(schemas, t.Name())
		schema, err := component(t.Schema(), name)
		if err != nil {
			return nil, fmt.Errorf("webhook: the schema of %s: %w", t.Name(), err)
		}
		schemas[name] = schema
		results = append(results, ref("schemas", name))
	}
	return json.Marshal(object{
		"openapi":           "3.1.0",
		"info":              object{"title": "Answers to activities", "version": "1"},
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"paths": object{
			"/{token}":           object{"parameters": []any{token()}, "get": operation("look", "The state of the activity.", nil, nil)},
			"/{token}/complete":  object{"parameters": []any{token()}, "post": operation("complete", "Ends the activity with a result of the type that it awaits.", object{"anyOf": results}, keyed())},
			"/{token}/fail":      object{"parameters": []any{token()}, "post": operation("fail", "Fails the attempt. Temporal retries the activity by its retry policy.", ref("schemas", "Failure"), keyed())},
			"/{token}/reject":    object{"parameters": []any{token()}, "post": operation("reject", "Fails the activity, without retries.", ref("schemas", "Failure"), keyed())},
			"/{token}/cancel":    object{"parameters": []any{token()}, "post": operation("cancel", "Ends the activity as cancelled, where a cancellation was requested. The body is optional.", ref("schemas", "Details"), keyed())},
			"/{token}/heartbeat": object{"parameters": []any{token()}, "post": operation("heartbeat", "Reports that work goes on, and returns the signals that stand. The body is optional.", ref("schemas", "Details"), nil)},
		},
		"components": object{
			"schemas": schemas,
			"responses": object{
				"State":   object{"description": "Accepted, or the state.", "content": object{"application/json": object{"schema": ref("schemas", "State")}}},
				"Problem": object{"description": "Refused, with the reason.", "content": object{"application/problem+json": object{"schema": ref("schemas", "Problem")}}},
				"Unavailable": object{
					"description": "It is not known whether the answer was accepted: send the same again.",
					"headers":     object{"Retry-After": object{"description": "Seconds.", "schema": object{"type": "integer"}}},
					"content":     object{"application/problem+json": object{"schema": ref("schemas", "Problem")}},
				},
			},
		},
	})
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func token() object {
	return object{"name": "token", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "The secret part of the address, as it was sent."}
}

func keyed() []any {
	return []any{object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": 257}, "description": "The same key with the same body is a repeat; with another body it is refused with 409."}}
}

func operation(id, summary string, body object, parameters []any) object {
	responses := object{"200": ref("responses", "State"), "503": ref("responses", "Unavailable")}
	statuses := []string{"400", "403", "404", "405", "410"}
	if body != nil {
		statuses = append(statuses, "408", "409", "413", "415", "422")
	}
	for _, status := range statuses {
		responses[status] = ref("responses", "Problem")
	}
	op := object{"operationId": id, "summary": summary, "responses": responses}
	if body != nil {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": body}}}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	return op
}

// componentName turns a type's name into one that OpenAPI allows.
func componentName(taken object, name string) string {
	base := strings.Trim(notInName.ReplaceAllString(name, "_"), "_")
	if base == "" {
		base = "Result"
	}
	name = base
	for n := 2; taken[name] != nil; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// component adds an ID to a schema that has references, so that the references
// still resolve within the schema.
func component(schema json.RawMessage, name string) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if !strings.Contains(string(schema), `"$ref"`) || json.Unmarshal(schema, &fields) != nil || fields["$id"] != nil {
		return schema, nil
	}
	id, err := json.Marshal("urn:latchkey:type:" + name)
	if err != nil {
		return nil, err
	}
	fields["$id"] = id
	return json.Marshal(fields)
}

func stateSchema() object {
	when := object{"type": "string", "format": "date-time"}
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"state", "signals"},
		"properties": object{
			"state":     object{"enum": []string{"waiting", "settled", "closed"}},
			"outcome":   object{"enum": []string{"result", "failure", "cancellation"}},
			"delivered": object{"type": "boolean", "description": "Whether Temporal has the outcome. False is accepted and safe, and not yet with Temporal."},
			"settled":   when, "deadline": when,
			"end":     object{"enum": []string{"expired", "unknown", "abandoned", "over"}, "description": "Why the activity ended without this outcome."},
			"type":    object{"type": "string", "description": "The name of the result type that is awaited."},
			"signals": object{"type": "array", "items": object{"enum": []string{"cancel-requested", "paused", "reset"}}},
		},
	}
}

func problemSchema() object {
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"title", "status", "code", "retry"},
		"properties": object{
			"title":  object{"type": "string"},
			"status": object{"type": "integer", "minimum": 400, "maximum": 599},
			"detail": object{"type": "string"},
			"code":   object{"enum": codes(), "description": "Stable: programs may go by it."},
			"retry":  object{"type": "boolean", "description": "Whether sending the same again may succeed."},
			"errors": object{"type": "array", "items": object{
				"type": "object", "additionalProperties": false, "required": []string{"pointer", "detail"},
				"properties": object{"pointer": object{"type": "string", "description": "RFC 6901, into the body."}, "detail": object{"type": "string"}},
			}},
		},
	}
}

// codes returns all codes of problem documents.
func codes() []string {
	list := []string{unavailable.code, largeBody.code, "method", "origin", "unknown-type", "idempotency-key"}
	for _, v := range verdicts {
		if !slices.Contains(list, v.code) {
			list = append(list, v.code)
		}
	}
	slices.Sort(list)
	return list
}
