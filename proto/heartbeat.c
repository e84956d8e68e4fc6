typedef int heartbeat_c_is_coming;
