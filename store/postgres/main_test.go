package postgres_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/latchkey-go/latchkey/internal/rotation"
)

// TestMain runs the tests, or the main function of one of their child
// processes.
func TestMain(m *testing.M) {
	rotation.Main()
	if url := os.Getenv(childVariable); url != "" {
		fmt.Fprintln(os.Stderr, child(url))
		os.Exit(1)
	}
	if url := os.Getenv(answersVariable); url != "" {
		fmt.Fprintln(os.Stderr, answerForEver(url, os.Getenv(schemaVariable)))
		os.Exit(1)
	}
	os.Exit(server.Main(m))
}
