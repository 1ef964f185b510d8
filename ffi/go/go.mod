module libnet

go 1.19
