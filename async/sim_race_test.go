//go:build race

package async

const simRace = true
