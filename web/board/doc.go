// Package board shows operators the entries of a store, and lets them act on
// the entries.
//
// [New] returns an http.Handler for pages and a JSON API. Pages and API have
// the same addresses: a request with "Accept: application/json" gets JSON.
//
//	GET  /                     what needs attention
//	GET  /waiting              entries that wait for an answer, oldest first
//	GET  /settled              entries with an outcome that Temporal does not have yet
//	GET  /ended                entries of activities that are over
//	GET  /all                  every entry
//	GET  /counts               entries by state, activity type and class
//	GET  /entries/{id}         one entry
//	POST /entries/{id}/retry   makes hubs retry at once
//	POST /entries/{id}/abandon ends the entry without delivery
//	POST /entries/{id}/complete, /fail, /reject   answers for the external system
//	POST /bulk                 retries or abandons up to 100 entries
//	GET  /openapi.json         the OpenAPI 3.1 document
//
// Mount a board below any path with http.StripPrefix; its links are relative.
//
// # Authorization
//
// [Options].Authorize decides about each entry and each [Action]. Pages, JSON
// and the command line (cmd/latchkey) use one function that calls Authorize. An
// entry that a caller may not view does not exist for that caller.
//
// # Actions
//
// GET and HEAD never act. Each action needs a reason. [Options].Audit gets the
// reason before the action, and the journal of the entry's round keeps it as a
// note.
//
// # Secrets
//
// The board never shows task tokens, outcomes or callback IDs. The ID of an
// entry does not authorize an answer.
package board
