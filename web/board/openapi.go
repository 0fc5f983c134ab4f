package board

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/latchkey-go/latchkey/web/answer"
)

type object = map[string]any

// openAPI describes the JSON API. The document has the schemas of the Go types
// that the API sends and reads.
func openAPI(bodies map[string]answer.Type, bulk answer.Type, results []answer.Type) (json.RawMessage, error) {
	schemas := object{
		"Reason": bodies["retry"].Schema(), "Complete": bodies["complete"].Schema(), "Fail": bodies["fail"].Schema(), "Bulk": bulk.Schema(),
		"Document": object{"type": "object"},
	}
	for name, make := range map[string]func() (answer.Type, error){
		"Entry": schemaOf[entryView], "List": schemaOf[listView], "Counts": schemaOf[countsView], "Line": schemaOf[line], "Results": schemaOf[resultsView], "Problem": schemaOf[problem],
	} {
		t, err := make()
		if err != nil {
			return nil, fmt.Errorf("board: the schema of %s: %w", name, err)
		}
		schemas[name] = t.Schema()
	}
	var known []object
	for _, t := range results {
		known = append(known, object{"name": t.Name(), "schema": t.Schema()})
	}
	paths := object{
		"/counts":       object{"get": operation("counts", "The numbers of entries, in a snapshot that is shared by all callers.", "Counts", "", nil)},
		"/openapi.json": object{"get": operation("openapi", "This document.", "Document", "", nil)},
		"/bulk":         object{"post": operation("bulk", "Retries or abandons up to 100 entries. There is one line for each, in the order of the request.", "Results", "Bulk", nil)},
		"/entries/{id}": object{"get": operation("entry", "One entry, with its journal and what the caller may do.", "Entry", "", entryID())},
	}
	for address, l := range lists {
		paths["/"+address] = object{"get": operation(l.name, l.about, "List", "", filterParameters())}
	}
	for verb, body := range map[string]string{"retry": "Reason", "abandon": "Reason", "complete": "Complete", "fail": "Fail", "reject": "Fail"} {
		paths["/entries/{id}/"+verb] = object{"post": operation(verb, doneText[verb], "Line", body, entryID())}
	}
	return json.Marshal(object{
		"openapi":            "3.1.0",
		"info":               object{"title": "Latchkey's board", "version": "1", "description": "Send Accept: application/json. Result types that can be completed with: see x-latchkey-results."},
		"jsonSchemaDialect":  "https://json-schema.org/draft/2020-12/schema",
		"paths":              paths,
		"x-latchkey-results": known,
		"components":         object{"schemas": schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "What the application's Authorize accepts."}}},
	})
}

// resultsView has no name of its own in the API.
type resultsView = results

func schemaOf[T any]() (answer.Type, error) { return answer.For[T](answer.TypeOptions{}) }

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func operation(id, summary, response, body string, parameters []any) object {
	responses := object{"200": object{"description": "Done, or what was asked for.", "content": object{"application/json": object{"schema": ref(response)}}}}
	statuses := []int{400, 401, 403, 404, 405, 500, 501, 503}
	if body != "" {
		statuses = append(statuses, 408, 409, 410, 413, 415, 422)
	}
	for _, status := range statuses {
		responses[strconv.Itoa(status)] = object{"description": http.StatusText(status), "content": object{"application/problem+json": object{"schema": ref("Problem")}}}
	}
	op := object{"operationId": id, "summary": summary, "responses": responses}
	if body != "" {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": ref(body)}}}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	return op
}

func entryID() []any {
	return []any{object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "The ID of an entry. A callback ID is none."}}
}

func filterParameters() (list []any) {
	about := map[string]string{
		"state": "waiting, settled or ended", "type": "the activity type", "result": "the result type", "workflow": "the workflow's ID", "key": "the business key",
		"label": "name=value; may be repeated", "class": "what goes wrong", "age": "in its state for at least this duration: 90s, 10m, 2h, 3d", "after": "the field next of the page before",
		"limit": "1 to 500; defaults to 50", "watch": "of pages", "namespace": "the namespace",
	}
	for _, name := range parameters {
		list = append(list, object{"name": name, "in": "query", "schema": object{"type": "string"}, "description": about[name]})
	}
	return list
}
