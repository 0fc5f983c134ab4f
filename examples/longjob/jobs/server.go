package jobs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Server runs simulated jobs.
type Server struct {
	pace time.Duration // the time for each percent

	mu    sync.Mutex
	all   []*job
	byKey map[string]*job
}

type job struct {
	Job
	started time.Time
}

// NewServer returns the runner's handler. The jobs of the runner take the
// duration pace for each percent.
func NewServer(pace time.Duration) http.Handler {
	s := &Server{pace: pace, byKey: make(map[string]*job)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /jobs", s.start)
	mux.HandleFunc("GET /jobs", s.list)
	mux.HandleFunc("GET /jobs/{id}", s.one(func(*job) {}))
	mux.HandleFunc("DELETE /jobs/{id}", s.one(func(j *job) { j.end(Stopped) }))
	mux.HandleFunc("POST /jobs/{id}/crash", s.one(func(j *job) { j.end(Crashed) }))
	return mux
}

// start starts one job per key, however often it is called.
func (s *Server) start(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	var o Order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || key == "" {
		http.Error(w, "the request must have an order in JSON and an Idempotency-Key", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, status := s.byKey[key], http.StatusOK
	if j == nil {
		j = &job{Job{ID: fmt.Sprintf("job-%d", len(s.all)+1), Name: o.Name, State: Running, From: o.From}, time.Now()}
		s.all, s.byKey[key] = append(s.all, j), j
		status = http.StatusCreated
	}
	j.advance(s.pace)
	answer(w, status, j.Job)
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Job, len(s.all))
	for i, j := range s.all {
		j.advance(s.pace)
		all[i] = j.Job
	}
	answer(w, http.StatusOK, all)
}

// one applies an action to one job and responds with the job. The action may be
// repeated.
func (s *Server) one(do func(*job)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, j := range s.all {
			if j.ID == r.PathValue("id") {
				j.advance(s.pace)
				do(j)
				answer(w, http.StatusOK, j.Job)
				return
			}
		}
		http.Error(w, "no such job", http.StatusNotFound)
	}
}

// advance updates the progress of the job from the clock.
func (j *job) advance(pace time.Duration) {
	if j.State != Running {
		return
	}
	j.Percent = min(100, j.From+int(time.Since(j.started)/pace))
	if j.Percent == 100 {
		j.State, j.Result = Done, j.Name+" is done"
	}
}

func (j *job) end(s State) {
	if j.State == Running {
		j.State = s
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone asks again
}
