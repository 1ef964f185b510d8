module orders

go 1.19

require libnet v0.0.0

replace libnet => ../../go
