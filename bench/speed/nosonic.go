//go:build (!amd64 && !arm64) || go1.28

package main

import "github.com/go-affinity/affinity/bench/speed/internal/lap"

// withSonic measures nothing: without its assembly for this machine and version
// of Go, sonic does not compile, or is the standard library by another name.
func withSonic([]byte) lap.Contender {
	return lap.Contender{Name: rowSonic, Missing: "sonic has no assembly for this machine and version of Go"}
}
