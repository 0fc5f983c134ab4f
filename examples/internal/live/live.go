// Package live prints the progress of a program: lines that stay, and below
// them one line that changes.
package live

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Story is the output. On a terminal, a Story overwrites its last line.
// Otherwise it prints the progress as a line from time to time. Any goroutine
// may call the methods of a Story.
type Story struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	progress string // the progress on the terminal's last line
	printed  time.Time
}

// seldom is how often the progress is printed if it cannot be overwritten.
const seldom = 2 * time.Second

// New returns a story that prints to w.
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

// Progress shows the progress.
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

// Settle keeps the shown progress, and prints below it from now on.
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
