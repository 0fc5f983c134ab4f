package main

import (
	"bytes"
	"io"
)

// notices passes on what the user of a terminal should know, such as that the
// server is being built and that this takes minutes, and not what the server
// logs.
type notices struct{ w io.Writer }

func (n notices) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("devserver: ")) {
		return n.w.Write(b)
	}
	return len(b), nil
}
