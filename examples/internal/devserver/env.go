package devserver

import (
	"fmt"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

// FromEnv returns the options for dialling the server that the environment
// names, and whether it names one. TEMPORAL_ADDRESS, TEMPORAL_PROFILE or
// TEMPORAL_CONFIG_FILE can name it. FromEnv then reads the other TEMPORAL_*
// variables and the file as every Temporal SDK does. FromEnv ignores an address
// in the user's own configuration file, because an example must not use a
// server that was not chosen for it.
func FromEnv() (options client.Options, found bool, err error) {
	for _, name := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} {
		found = found || os.Getenv(name) != ""
	}
	if !found {
		return client.Options{}, false, nil
	}
	options, err = envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, false, fmt.Errorf("devserver: TEMPORAL_* environment: %w", err)
	}
	return options, true, nil
}
