//go:build (!amd64 && !arm64) || go1.28

package main

// withSonic is not called: without its assembly for this machine and version of Go,
// sonic does not compile, or is the standard library by another name.
func withSonic([]byte) (string, bool) { return "", false }

func sonicFails([]byte) string { return "sonic has no assembly for this machine and version of Go" }
