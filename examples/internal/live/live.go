// Package live prints a story while it happens: lines that stay, and under
// them one that follows the progress.
package live

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Story is printed to a terminal, where its last line is written over, or to
// anything else, where the progress is a line from time to time. Its methods
// may be called by any goroutine.
type Story struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	progress string // that is on the terminal's last line
	printed  time.Time
}

// seldom is how often progress is printed where it can't be written over.
const seldom = 2 * time.Second

// New returns a story that is printed to w.
func New(w io.Writer) *Story {
	s := &Story{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

// Say prints a line that stays.
func (s *Story) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress != "" {
		s.print("\r\x1b[K") // clears the line
	}
	s.print(fmt.Sprintf(format, args...) + "\n" + s.progress)
}

// Progress shows how far things are.
func (s *Story) Progress(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.terminal:
		s.print("\r" + line + "\x1b[K")
		s.progress = line
	case time.Since(s.printed) >= seldom:
		s.print(line + "\n")
		s.printed = time.Now()
	}
}

// Settle has the progress that is shown stay, and what follows be printed under
// it.
func (s *Story) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress != "" {
		s.print("\n")
		s.progress = ""
	}
}

func (s *Story) print(text string) {
	_, _ = io.WriteString(s.w, text) // a reader that is gone misses nothing
}
