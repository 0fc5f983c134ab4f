// Package jobs is another team's job runner: it starts jobs, reports how far
// they are, and stops them. The runner knows nothing about Temporal and
// Latchkey.
//
//	POST   /jobs             starts a job, or finds the one with this Idempotency-Key
//	GET    /jobs             all jobs
//	GET    /jobs/{id}        how one is
//	DELETE /jobs/{id}        stops it
//	POST   /jobs/{id}/crash  loses it, as the failure of a machine would
package jobs

// State is the state of a job.
type State string

// The states of a job. All states except Running are final.
const (
	Running State = "running"
	Done    State = "done"
	Stopped State = "stopped" // as requested
	Crashed State = "crashed" // there will be no result
)

// Job is the runner's report about a job.
type Job struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	State   State  `json:"state"`
	From    int    `json:"from"`    // percent done at its start
	Percent int    `json:"percent"` // done by now
	Result  string `json:"result,omitempty"`
}

// Order is the body of POST /jobs.
type Order struct {
	Name string `json:"name"`
	From int    `json:"from"` // percent done by an earlier job
}
