from deepmat.cli import main

main()
