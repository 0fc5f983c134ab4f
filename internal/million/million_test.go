package million_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/million"
	"github.com/latchkey-go/latchkey/store"
)

func TestMemory(t *testing.T) { million.Test(t, store.NewMemory()) }
