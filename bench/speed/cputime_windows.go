package main

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	self, err := syscall.GetCurrentProcess()
	must(err)
	var created, exited, kernel, user syscall.Filetime
	must(syscall.GetProcessTimes(self, &created, &exited, &kernel, &user))
	ticks := func(t syscall.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
	return time.Duration(100 * (ticks(kernel) + ticks(user))) // a tick is 100 ns
}
