package main

func Example() {
	main()
	// Output:
	// candidates [anna ben cleo]
	//   chat-1 -> anna  new
	//   chat-2 -> ben   new
	//   chat-3 -> cleo  new
	// candidates [anna cleo]
	//   chat-1 -> anna  bound
	//   chat-2 -> anna  failover
	//   chat-3 -> cleo  bound
	// candidates [anna ben cleo]
	//   chat-1 -> anna  bound
	//   chat-2 -> anna  bound
	//   chat-3 -> cleo  bound
}
