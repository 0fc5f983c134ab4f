//go:build !race

package async

const simRace = false
